// @ts-check
// In the tab "Test": a part of the picture is covered, and the network is asked again. The page's only test of a cause.
import { request } from "./asking.js";
import { cellFrames, markCell, pointed } from "./enlarged.js";
import { helpMark } from "./help.js";
import { $, HEADS, make } from "./page.js";
import { state, subscribe } from "./store.js";
import { showTab } from "./tabs.js";
import { percent, proseOf, say, words } from "./words.js";

/** @type {number[] | null} */ let covered = null; // the box, in pixels of the picture
/** @type {any} */ let covering = null; // what Python answered about it
/** @type {number[] | null} */ let from = null; // where a drag began
let dragged = false; // whether the pointer that went up last had drawn a box

/** The square around a cell that holds the light: at least a quarter of what was seen, each way. @param {number} cell */
function around(cell) {
  const { own } = cellFrames(cell);
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const [wide, high] = [Math.max(own[2] - own[0], (x1 - x0) / 4), Math.max(own[3] - own[1], (y1 - y0) / 4)];
  const left = Math.min(x1 - wide, Math.max(x0, (own[0] + own[2] - wide) / 2));
  const top = Math.min(y1 - high, Math.max(y0, (own[1] + own[3] - high) / 2));
  return [left, top, left + wide, top + high];
}

/** @param {number[]} box */
async function cover(box) {
  const { answer } = state;
  covered = box;
  covering = null;
  markCell();
  showTab();
  const reply = await request("cover", { box, stage: state.stage });
  if (state.answer !== answer || covered !== box) return;
  if (reply) covering = reply.cover;
  else covered = null;
  markCell();
  showTab("test");
}

/** A head's probability before and after. @param {string} head */
function coverRow(head) {
  const { before, after, control_after: random } = covering;
  const bars = [before, after, random].map((p, i) =>
    make(
      "td",
      {},
      make("span", { class: "bar" }, make("i", { style: `width:${(p[head] ?? 0) * 100}%`, class: i === 1 ? "asked" : "" })),
      head in p ? percent(p[head]) : "",
    ),
  );
  return make("tr", {}, make("th", { scope: "row" }, words[head]), ...bars);
}

/** On a narrow screen the tab lies far below the picture: what to do and what came of it stand under the picture. */
function near() {
  const text = covering ? proseOf(covering.say) : covered ? words.working : words.cover_how;
  $(".near").textContent = state.tab === "test" ? text : "";
}

/** @param {any} root */
export function showCover(root) {
  const focused = root.contains(document.activeElement);
  const { touched } = state;
  const { top } = state.answer.grids[state.stage];
  const offer = (/** @type {string} */ text, /** @type {number} */ cell) =>
    make("button", { type: "button", class: "plain", onclick: () => cover(around(cell)) }, text);
  const buttons = [offer(words.cover_brightest, top), ...(touched === null ? [] : [offer(words.cover_touched, touched)])];
  const at = focused ? [...root.querySelectorAll("button")].indexOf(document.activeElement) : 0;
  const how = make("p", { class: "soft cover-how" }, words.cover_how, " ", helpMark("cover"));
  const parts = [how, make("div", { class: "together" }, ...buttons)];
  near();
  if (covered && !covering) parts.push(make("p", { role: "status" }, words.working));
  if (covering) {
    const heads = HEADS.filter(head => head in covering.before);
    const random = say("cover_random", { count: covering.controls.length });
    const titles = [words.cover_before, words.cover_after, random].map(text => make("th", { scope: "col" }, text));
    parts.push(
      make("p", { class: "cover-say", role: "status" }, proseOf(covering.say)),
      make("table", {}, make("thead", {}, make("tr", {}, make("td"), ...titles)), make("tbody", {}, ...heads.map(coverRow))),
    );
  }
  root.replaceChildren(...parts);
  if (focused) root.querySelectorAll("button")[at]?.focus();
}

const big = $(".big");
big.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
  dragged = false;
  if (state.tab !== "test" || !state.answer || event.button) return;
  from = pointed(event);
  big.setPointerCapture(event.pointerId);
});
big.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
  if (!from) return;
  const to = pointed(event);
  const least = (state.answer.result.seen[2] - state.answer.result.seen[0]) * 0.03;
  if (Math.abs(to[0] - from[0]) < least || Math.abs(to[1] - from[1]) < least) return;
  dragged = true;
  covered = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])];
  covering = null;
  markCell();
});
big.addEventListener("pointerup", () => {
  if (from && dragged && covered) cover(covered);
  from = null;
});
big.addEventListener("pointercancel", () => {
  from = null;
});
// a drag ends with a click, which touches no cell
big.addEventListener("click", (/** @type {MouseEvent} */ event) => dragged && event.preventDefault(), true);

/** What it draws on the enlarged stage. @returns {Cell[]} */
export function coverFrames() {
  if (!covered) return [];
  return [
    { box: covered, class: "covered" },
    ...(covering?.controls ?? []).map((/** @type {number[]} */ box) => ({ box, class: "other" })),
  ];
}
subscribe(["answer", "stage"], () => {
  covered = covering = null;
});
subscribe(["tab"], () => {
  $(".page").classList.toggle("covering", state.tab === "test"); // a finger then draws, and does not scroll
  if (state.tab !== "test") $(".near").textContent = "";
});
