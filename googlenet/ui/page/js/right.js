// @ts-check
// What the visitor said that pictures show. It stays in this tab: a line that counts, and a table that can be saved.
import { painted } from "./answer.js";
import { ask, request } from "./asking.js";
import { combobox } from "./combobox.js";
import { download } from "./downloads.js";
import { paint, paintPart, unpack } from "./drawing.js";
import { stored } from "./memory.js";
import { $, html, pause, props, rove } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { nameOf, percent, proseOf, say, words } from "./words.js";

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
  const cells = (/** @type {string} */ tag, /** @type {string[]} */ texts) => texts.map(text => html`<${tag}>${text}</${tag}>`);
  root.querySelector("summary").textContent = say(none ? "tally_none" : "tally", { all: judged.size, right, kind, wrong, none });
  root.querySelector("thead").replaceChildren(html`<tr>${cells("th", titles)}</tr>`);
  root.querySelector("tbody").replaceChildren(...rows.map(row => html`<tr>${cells("td", row)}</tr>`));
}
$(".tally button").addEventListener("click", () => download(csv(), "text/csv", "inside-googlenet.csv"));
subscribe(["answer"], () => {
  const said = judged.get(state.answer.picture)?.truth;
  const known = props.examples.find((/** @type {any} */ each) => each.name === state.answer.asked.example)?.truth ?? undefined;
  if (said !== undefined) keep(said);
  else showTally();
  set({ truth: said ?? known });
});

// "Is it right?": small buttons under the headline, by which the visitor says what the picture shows.

let searching = false; // whether the search for another class is open
const search = combobox(
  $(".combo.truth"),
  null,
  chosen => {
    searching = false;
    if (chosen) tell(chosen.label);
  },
  () => null,
);

/** The asked head's answer. @returns {Prediction} */
export function answered() {
  const { heads, question } = state.answer.result;
  return /** @type {Prediction[]} */ (heads[question.head])[0];
}

function showQuestion() {
  if (!state.answer) return;
  const { answer, truth } = state;
  const best = answered();
  const names = answer.unlikely ? answer.likeliest.slice(0, 3) : answer.likeliest.slice(1, 4);
  const index = truth ? state.weights.labels.indexOf(truth) : -1;
  if (index >= 0 && truth !== best.label && names.every(each => each.label !== truth))
    names.push({ index, label: /** @type {string} */ (truth), probability: 0 });
  const row = $(".is-right");
  const focused = row.contains(document.activeElement) && /** @type {any} */ (document.activeElement).dataset.says;
  const button = (/** @type {string} */ says, /** @type {string} */ text, /** @type {string} */ truth_) =>
    html`<button type="button" class="pill" data-says="${says}" aria-pressed="${truth === truth_}" ${() => tell(truth_)}>${text}</button>`;
  const sure = [button("yes", words.right_yes, best.label), html`<span class="soft">${words.right_no}</span>`];
  row.replaceChildren(
    html`<span id="is-right">${answer.unlikely ? words.right_what : words.right_is}</span>`,
    ...(answer.unlikely ? [] : sure),
    ...names.map(each => button(each.label, nameOf(each), each.label)),
    html`<button type="button" class="pill" data-says="another" aria-expanded="${searching}" aria-controls="truth-search" ${another}>
      ${words.right_another}</button>`,
    button("none", words.right_none, ""),
  );
  rove(
    row,
    [...row.querySelectorAll("button")].find(each => each.dataset.says === focused) ?? row.querySelector("[aria-pressed=true]"),
  );
  if (focused) row.querySelector('[tabindex="0"]').focus({ preventScroll: true });
  $(".combo.truth").hidden = !searching;
  $(".none-fits").hidden = truth !== "";
  $(".none-fits").textContent = say("none_fits", { count: state.weights.labels.length.toLocaleString("en") });
}
function another() {
  searching = !searching;
  showQuestion();
  if (!searching) return;
  search.set(null);
  $(".combo.truth input").focus();
  $(".combo.truth input").click(); // the ten likeliest stand open
}
subscribe(["answer"], () => {
  searching = false;
});
subscribe(["answer", "truth"], showQuestion);

// Where the answer is wrong: what spoke for it, what spoke for the truth, what tipped it, and the answer without that. Four
// pictures of one stage on one scale.

let wanted = ""; // which tipping the page shows or has asked for
/** @type {any} */ let tipped = null; // what Python answered about it

/** What the visitor says is right, where that is not what was answered. @returns {Klass | null} */
function rival() {
  const index = state.truth ? state.weights.labels.indexOf(state.truth) : -1;
  return index < 0 || state.truth === answered().label ? null : { index, label: /** @type {string} */ (state.truth) };
}

async function follow() {
  if (!state.answer || state.playing) return;
  const right = rival();
  $(".tipping").hidden = !right;
  $(".side").classList.toggle("tipped", !!right);
  if (!right) {
    wanted = "";
    tipped = null;
    return;
  }
  const { answer, stage } = state;
  const { head, method } = answer.result.question;
  const own = answered();
  const key = JSON.stringify([answer.picture, state.weights.chosen, head, method, own.index, right.index, stage]);
  if (key === wanted) return tipped && show(own, right);
  wanted = key;
  tipped = null;
  if (!$(".tips").childElementCount) show(own, right);
  $(".tipping").setAttribute("aria-busy", "true");
  await pause(150); // a visitor who steps through the stages asks about the last one
  if (wanted !== key) return;
  const reply = await request("tip", { head, target: own.index, rival: right.index, stage });
  if (wanted !== key) return;
  if (!reply) {
    wanted = "";
    return;
  }
  tipped = { ...reply.tip, grids: reply.tip.maps.map(unpack) };
  show(own, right);
}

/** @param {Klass} own @param {Klass} right */
function show(own, right) {
  const { contrast, target } = state.answer.result.question;
  const names = { class: nameOf(own), rival: nameOf(right) };
  const asks = [
    [own.index, null],
    [right.index, null],
    [own.index, right.index],
  ];
  const captions = [
    say("tip_for", names),
    say("tip_same", { class: names.rival }),
    say("tip_over", names),
    words[tipped && !tipped.box ? "tip_nothing" : "tip_covered"],
  ];
  const figures = captions.map((caption, i) => {
    const parts = html`<span class="cell"><canvas aria-hidden="true"></canvas></span><span class="tip-name">${caption}</span>`;
    if (i === 3) return html`<figure class="tip">${parts}</figure>`;
    const [asked, than] = asks[i];
    const press = () => ask({ ...state.wanted, target: asked, contrast: than });
    const pressed = target.index === asked && (contrast?.index ?? null) === than;
    return html`<button type="button" class="tip" aria-pressed="${pressed}" ${press}>${parts}</button>`;
  });
  const focused = [...$(".tips").children].indexOf(document.activeElement);
  $(".tips").replaceChildren(...figures);
  if (focused >= 0) figures[focused].focus({ preventScroll: true });
  $(".tipping").setAttribute("aria-busy", String(!tipped));
  const lines = { "tip-say": tipped && proseOf(tipped.say), "tip-why": tipped && proseOf(tipped.why) };
  for (const [name, text] of Object.entries(lines)) {
    $(`.${name}`).textContent = text ?? (tipped ? "" : words.working);
    $(`.${name}`).hidden = !text && (!!tipped || name === "tip-why");
  }
  paintTips();
}
function paintTips() {
  if ($(".tipping").hidden || !tipped) return;
  const [own, right, tip, last] = $(".tips").querySelectorAll("canvas");
  [own, right, tip].forEach((canvas, i) => {
    paint(canvas, tipped.grids[i], tipped.grids[i].sum, Math.max(1e-12, tipped.scale));
  });
  paintPart(last, state.answer.result.seen, tipped.box);
}
painted(paintTips);
subscribe(["answer", "truth", "stage", "playing"], follow);
