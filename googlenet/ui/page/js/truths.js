// @ts-check
// What the visitor said that pictures show. It stays in this tab: a line that counts, and a table that can be saved.
import { download } from "./downloads.js";
import { nameOf } from "./names.js";
import { $, make, props } from "./page.js";
import { stored } from "./storage.js";
import { set, state, subscribe } from "./store.js";
import { percent, say, words } from "./words.js";

/** What was answered about a picture, and what it shows. Classes and groups by their labels.
 * @typedef {{name: string, answer: string, share: number, statement: string, holds: boolean, truth: string}} Judged
 * `holds`: whether the statement is true of the truth; `truth`: "" for none of the classes */
/** picture → what was said of it @type {Map<string, Judged>} */
const judged = new Map(stored("sessionStorage", "judged") ?? []);

/** The class that a label names. @param {string} label @returns {Klass | null} */
function classOf(label) {
  const index = state.weights.labels.indexOf(label);
  return index < 0 ? null : { index, label };
}
/** Keep what was said of the painted picture, with the main head's newest answer. @param {string} truth */
function keep(truth) {
  const { picture, result } = state.answer;
  const [best] = result.heads.main ?? [];
  const said = result.statements?.main;
  const group = said && said.classes > 1 ? state.weights.groups.find(each => each.label === said.name) : null;
  const holds = !!group?.indices.includes(classOf(truth)?.index ?? -1);
  const row = { name: result.image, answer: best.label, share: best.probability, statement: group?.label ?? "", holds, truth };
  judged.set(picture, row);
  stored("sessionStorage", "judged", [...judged]);
  showTally();
}
/** The visitor says what the picture shows. @param {string} truth a class's label, or "" for none of the classes */
export function tell(truth) {
  keep(truth);
  set({ truth });
}
/** The name of the text that says whether the answer was right. @param {Judged} row */
function verdict({ truth, answer, holds }) {
  return truth === "" ? "judged_none" : truth === answer ? "judged_right" : holds ? "judged_kind" : "judged_wrong";
}

/** A name as the table has it. @param {string} label */
function named(label) {
  const group = state.weights.groups.find(each => each.label === label);
  return label && nameOf(group ? { index: null, label } : (classOf(label) ?? { index: null, label }));
}
/** The table's titles and its rows, as texts. */
function table() {
  const titles = [
    words.judged_picture,
    words.judged_answer,
    words.judged_share,
    words.judged_statement,
    words.judged_truth,
    words.judged_verdict,
  ];
  const rows = [...judged.values()].map(row => [
    row.name,
    named(row.answer),
    percent(row.share),
    named(row.statement),
    row.truth ? named(row.truth) : words.right_none,
    words[verdict(row)],
  ]);
  return { titles, rows };
}
/** The table as CSV; a text that a spreadsheet would take for a formula begins with an apostrophe. */
function csv() {
  const { titles, rows } = table();
  const quoted = (/** @type {string} */ text) => `"${text.replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  return `\ufeff${[titles, ...rows].map(row => `${row.map(quoted).join(",")}\r\n`).join("")}`;
}

function showTally() {
  const root = $(".tally");
  root.hidden = !judged.size;
  if (!judged.size) return;
  const count = (/** @type {string} */ which) => [...judged.values()].filter(row => verdict(row) === which).length;
  const [right, kind, wrong, none] = ["judged_right", "judged_kind", "judged_wrong", "judged_none"].map(count);
  const { titles, rows } = table();
  const cells = (/** @type {string} */ tag, /** @type {string[]} */ texts) => texts.map(text => make(tag, {}, text));
  root.querySelector("summary").textContent = say(none ? "tally_none" : "tally", { all: judged.size, right, kind, wrong, none });
  root.querySelector("thead").replaceChildren(make("tr", {}, ...cells("th", titles)));
  root.querySelector("tbody").replaceChildren(...rows.map(row => make("tr", {}, ...cells("td", row))));
}
$(".tally button").addEventListener("click", () => download(csv(), "text/csv", "inside-googlenet.csv"));
subscribe(["answer"], () => {
  const said = judged.get(state.answer.picture)?.truth;
  const known = props.examples.find((/** @type {any} */ each) => each.name === state.answer.asked.example)?.truth ?? undefined;
  if (said !== undefined) keep(said);
  else showTally();
  set({ truth: said ?? known });
});
