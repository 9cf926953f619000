// What the visitor said that pictures show. It stays in this tab: a line that counts, and a table that can be saved.
import { ask, findSoon } from "./asking.js";
import { combobox } from "./combobox.js";
import { download } from "./downloads.js";
import { mapCell, paint, paintPart } from "./drawing.js";
import { stored } from "./memory.js";
import { $, html, on, props, put, rove } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { classCount, nameOf, percent, proseOf, say, words } from "./words.js";

/** picture → what was said of it @type {Map<string, Judged>} */
const judged = new Map(stored("sessionStorage", "judged") ?? []);

/** The class that a label names. @param {string | undefined} label @returns {(Klass & {index: number}) | null} */
function classOf(label = "") {
  const index = state.weights.labels.indexOf(label);
  return index < 0 ? null : { index, label };
}
/** Keep what was said of the painted picture, with the main head's newest answer: the tally is about one head. @param {string} truth */
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
function tell(truth) {
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
const TITLES = ["judged_picture", "judged_answer", "judged_share", "judged_statement", "judged_truth", "judged_verdict"];
/** The table's titles and its rows, as texts. */
function table() {
  const rows = [...judged.values()].map(row => {
    const { name, answer, share, statement, truth } = row;
    return [name, named(answer), percent(share), named(statement), named(truth) || words.right_none, words[verdict(row)]];
  });
  return [TITLES.map(title => words[title]), ...rows];
}
/** The table as CSV; a text that a spreadsheet would take for a formula begins with an apostrophe. */
function csv() {
  const quoted = (/** @type {string} */ text) => `"${text.replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const lines = table().map(row => `${row.map(quoted).join(",")}\r\n`);
  return `\ufeff${lines.join("")}`;
}

function showTally() {
  const count = (/** @type {string} */ which) => [...judged.values()].filter(row => verdict(row) === which).length;
  const [right, kind, wrong, none] = ["judged_right", "judged_kind", "judged_wrong", "judged_none"].map(count);
  $(".tally").hidden = !judged.size;
  $(".tally summary").textContent = say(none ? "tally_none" : "tally", { right, kind, wrong, none });
  const [titles, ...rows] = table();
  $(".tally thead").replaceChildren(html`<tr>${titles.map(text => html`<th>${text}</th>`)}</tr>`);
  $(".tally tbody").replaceChildren(...rows.map(row => html`<tr>${row.map(text => html`<td>${text}</td>`)}</tr>`));
}
on(".tally button", "click", () => download(csv(), "text/csv", "inside-googlenet.csv"));
subscribe(["answer"], () => {
  searching = false;
  const said = judged.get(state.answer.picture)?.truth;
  const known = props.examples.find((/** @type {any} */ each) => each.name === state.answer.asked.example)?.truth ?? undefined;
  if (said !== undefined) keep(said);
  else showTally();
  set({ truth: said ?? known });
});

// "Is “lion” right?": small buttons under the headline, by which the visitor says what the picture shows.

let searching = false; // whether the search for another class is open
const search = combobox($(".combo.truth"), null, chosen => {
  searching = false;
  if (chosen) tell(chosen.label);
});

/** The asked head's answer. @returns {Prediction} */
function answered() {
  const { heads, question } = state.answer.result;
  return /** @type {Prediction[]} */ (heads[question.head])[0];
}
/** What the visitor says is right, where that is not what was answered. */
function truth() {
  return state.truth === answered().label ? null : classOf(state.truth);
}

function showQuestion() {
  if (!state.answer) return;
  const { unlikely, likeliest } = state.answer;
  const right = truth();
  /** @type {Klass[]} */ const names = unlikely ? likeliest.slice(0, 3) : likeliest.slice(1, 4);
  if (right && names.every(each => each.label !== right.label)) names.push(right);
  const button = (/** @type {string} */ says, /** @type {string} */ text, /** @type {string} */ truth) =>
    html`<button type="button" class="pill" data-says="${says}" aria-pressed="${state.truth === truth}" ${() => tell(truth)}>${text}</button>`;
  const sure = [button("yes", words.right_yes, answered().label), html`<span class="soft">${words.right_no}</span>`];
  put(
    $(".is-right"),
    html`<span id="is-right">${unlikely ? words.right_what : say("right_is", { class: nameOf(answered()) })}</span>${unlikely ? "" : sure}
      ${names.map(each => button(each.label, nameOf(each), each.label))}
      <button type="button" class="pill" data-says="another" aria-expanded="${searching}" aria-controls="truth-search" ${another}>
      ${words.right_another}</button>${button("none", words.right_none, "")}`,
  );
  rove($(".is-right"));
  $(".combo.truth").hidden = !searching;
  $(".none-fits").hidden = state.truth !== "";
  $(".none-fits").textContent = say("none_fits", { count: classCount() });
}
function another() {
  searching = !searching;
  showQuestion();
  if (!searching) return;
  search.set(null);
  $("#truth").focus();
  $("#truth").click(); // the ten likeliest stand open
}
subscribe(["answer", "truth"], showQuestion);

// Where the answer is wrong: what spoke for it, for the truth, what tipped it, and the answer without that. All on one scale.

function follow() {
  if (!state.answer || state.playing) return;
  const [own, right] = [answered(), truth()];
  $(".tipping").hidden = !right;
  $(".side").classList.toggle("tipped", !!right);
  $(".tipping").ariaBusy = "false";
  if (!right) return;
  const { head } = state.answer.result.question;
  const asked = { head, target: own.index, contrast: null, truth: right.index, stage: state.stage };
  const { reply, failed } = findSoon("tip", asked, follow);
  $(".tipping").ariaBusy = String(!reply && !failed);
  if (reply || failed || !$(".tips").childElementCount) show(own, right, reply?.tip, failed ? "" : words.working);
}

/** @param {Klass} own @param {Klass} right @param {any} tip what Python says, or @param {string} waiting what stands until then */
function show(own, right, tip, waiting) {
  const { contrast, target } = state.answer.result.question;
  const names = { class: nameOf(own), truth: nameOf(right) };
  /** A picture and, where it is a map, a press that asks for it. @param {string} caption @param {number} i */
  const figure = (caption, i) => {
    const cell = mapCell(null, canvas => {
      if (!tip || $(".tipping").ariaBusy === "true") return;
      if (i < 3) paint(canvas, tip.maps[i], tip.maps[i].sum, Math.max(1e-12, tip.scale));
      else paintPart(canvas, tip.box);
    });
    const parts = html`${cell}<span>${caption}</span>`;
    if (i === 3) return html`<figure class="tip">${parts}</figure>`;
    const asked = { target: i === 1 ? right.index : own.index, contrast: i === 2 ? right.index : null };
    const pressed = target.index === asked.target && (contrast?.index ?? null) === asked.contrast;
    return html`<button type="button" class="tip" aria-pressed="${pressed}" ${() => ask({ ...state.wanted, ...asked })}>${parts}</button>`;
  };
  const captions = [say("tip_for", names), say("tip_same", { class: names.truth }), say("tip_over", names)];
  put($(".tips"), ...[...captions, words[tip && !tip.box ? "tip_nothing" : "tip_covered"]].map(figure));
  $(".tip-say").textContent = tip ? proseOf(tip.say) : waiting;
  $(".tip-why").textContent = tip ? proseOf(tip.why) : "";
  $(".tip-why").hidden = !$(".tip-why").textContent;
}
subscribe(["answer", "truth", "stage", "playing"], follow);
