// The chosen stage, large: its overlay, its legend, the touched cell and what it can see; under it the tabs, "Evidence" first.
import { askedName, place, stageAlt, summary } from "./answer.js";
import { ask } from "./asking.js";
import { looks, mapCell, mark, paint, scaleOf } from "./drawing.js";
import { $, $$, BRANCHES, html, on, paintIn, put, rove, still } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { branchName, percent, say, thirdText, words } from "./words.js";

// The row of tabs: a button and a panel each in index.html, and a script that draws into the panel once it is shown.

/** by the name of the panel: `#tab-NAME` @type {Record<string, Tab>} */ const tabs = {};

/** @param {string} name @param {Tab} tab */
export function addTab(name, tab) {
  tabs[name] = tab;
}
/** Draw the open tab anew, or only if it is the one that is named. @param {string} [name] */
export function showTab(name = state.tab) {
  if (state.answer && name === state.tab) tabs[name].show(state.stage);
}
function showTabs() {
  for (const button of $$(".tabs button")) {
    const { tab } = button.dataset;
    button.setAttribute("aria-selected", tab === state.tab);
    $(`#tab-${tab}`).hidden = tab !== state.tab;
  }
  rove($(".tabs"), true);
}
on(".tabs", "click", ({ target }) => target.dataset.tab && set({ tab: target.dataset.tab }));
subscribe(["tab"], showTabs);
showTabs();

// The stage.

const canvas = $(".big canvas");
canvas.paint = () => {
  const { against } = looks();
  paint(canvas, state.answer.grids[state.stage]);
  canvas.setAttribute("aria-label", stageAlt(state.stage));
  $(".legend .low").textContent = against ? words.legend_against : words.legend_none;
  $(".legend .high").textContent = against ? words.legend_for : words.legend_most;
};
/** Show the chosen stage large, with the tab that is open. */
subscribe(["answer", "stage", "tab"], () => {
  if (!state.answer) return;
  fade();
  $(".method").value = state.answer.result.question.method;
  $(".against").disabled = $(".method").value === "layer-cam"; // its maps hold none
  $("#stage-title").textContent = say("stage_title", { stage: state.stage });
  paintIn($(".big"));
  markCell();
  showTab();
});

/** What was painted before stays on top and fades. */
function fade() {
  const before = $(".big .before");
  if (still.matches || before.dataset.stage === state.stage) return;
  before.dataset.stage = state.stage;
  Object.assign(before, { width: canvas.width, height: canvas.height });
  before.style.cssText = canvas.style.cssText;
  before.getContext("2d").drawImage(canvas, 0, 0);
  before.animate([{ opacity: 1 }, { opacity: 0 }], { duration: 240, easing: "ease-out", fill: "forwards" });
}

/** Where a cell of the enlarged stage lies on its grid. @param {number} cell */
export function rowAndColumn(cell) {
  const { w } = state.answer.grids[state.stage];
  return [Math.floor(cell / w), cell % w];
}
/** A cell's own square and the part of the picture that it can see, in pixels of the picture. @param {number} cell */
export function cellFrames(cell) {
  const grid = state.answer.grids[state.stage];
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const [row, column] = rowAndColumn(cell);
  const [wide, high] = [(x1 - x0) / grid.w, (y1 - y0) / grid.h];
  const own = [x0 + column * wide, y0 + row * high, x0 + (column + 1) * wide, y0 + (row + 1) * high];
  const { start, stride, size } = state.weights.fields[state.stage]; // in pixels of the network's input
  const reach = (/** @type {number} */ at, /** @type {number} */ from, /** @type {number} */ to) => {
    const [first, pixel] = [start + at * stride, (to - from) / state.weights.side];
    return [Math.max(from, from + first * pixel), Math.min(to, from + (first + size) * pixel)];
  };
  const [left, right] = reach(column, x0, x1);
  const [top, bottom] = reach(row, y0, y1);
  return { own, field: [left, top, right, bottom] };
}

/** Draw the frames of the touched cell and of the open tab. */
export function markCell() {
  const frames = [];
  if (state.touched !== null) {
    const { own, field } = cellFrames(state.touched);
    frames.push({ box: field, class: "field" }, { box: own, class: "own" });
  }
  mark($(".big"), state.answer.result.seen, [...frames, ...(tabs[state.tab]?.frames?.() ?? [])]);
}

/** @param {number | null} cell */
function touch(cell) {
  const { stage } = state;
  set({ playing: false }); // which lets another stage stand
  set({ stage, chosen: true, touched: cell });
}

/** The place of a pointer on the enlarged stage, in pixels of the picture. @param {PointerEvent | MouseEvent} event */
export function pointed({ clientX, clientY }) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const share = (/** @type {number} */ at, /** @type {number} */ size) => Math.min(1, Math.max(0, at / size));
  return [x0 + share(clientX - left, width) * (x1 - x0), y0 + share(clientY - top, height) * (y1 - y0)];
}

/** @type {Record<string, number[]>} */
const WAYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
/** @param {number} at @param {number} count of rows or columns */
function within(at, count) {
  return Math.min(count - 1, Math.max(0, Math.floor(at)));
}
on(".big", "click", event => {
  if (!state.answer || event.defaultPrevented) return;
  const { h, w } = state.answer.grids[state.stage];
  const [x, y] = pointed(event);
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const cell = within(((y - y0) / (y1 - y0)) * h, h) * w + within(((x - x0) / (x1 - x0)) * w, w);
  touch(cell === state.touched ? null : cell);
});
on(".big", "keydown", event => {
  if (!state.answer) return;
  const { h, w, top } = state.answer.grids[state.stage];
  const [row, column] = rowAndColumn(state.touched ?? top);
  const way = WAYS[event.key];
  if (way) touch(within(row + way[0], h) * w + within(column + way[1], w));
  else if (event.key === "Enter") touch(top);
  else if (event.key === "Escape") touch(null);
  else return;
  event.preventDefault();
});

/** How the maps are made: Grad-CAM or LayerCAM. The choice holds for what is asked from now on. */
on(".method", "change", () => ask({ ...state.wanted, method: $(".method").value }));

// The tab "Evidence": what the stage's map says, the touched cell, and how the four filter sizes share in it.

const weight = html`<span></span>`;
$("#help-share").append(" ", weight);

/** What the map says. @param {any} info a stage of the answer's JSON @param {Grid} grid */
function stageText({ peak, share_of_evidence: share }, { h, w }) {
  const known = { h, w, class: askedName() };
  if (!peak) return say("stage_text_none", known);
  weight.textContent = say("speaks", { ...known, share: percent(share, true), rest: percent(1 - share, true) });
  return say("stage_text", { ...known, ...place(peak) });
}

/** A map's value in logit units, with as many digits as the map's strongest cell needs. @param {number} v @param {Grid} grid */
function figure(v, grid) {
  const digits = Math.min(8, Math.max(0, 2 - Math.floor(Math.log10(grid.peak))));
  return (v < 0 ? "−" : "") + Math.abs(v).toFixed(digits);
}

/** The branches' values in a cell and their sum. @param {Grid} grid @param {number} cell */
export function addends(grid, cell) {
  const terms = grid.branches.map((values, b) => `${figure(values[cell], grid)}\u00a0(${branchName(BRANCHES[b])})`);
  return `${terms.join(" + ").replaceAll("+ −", "− ")} = ${figure(grid.sum[cell], grid)}`;
}

function cellText() {
  const { touched } = state;
  if (touched === null) return words.touch;
  const grid = state.answer.grids[state.stage];
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const [left, top, right, bottom] = cellFrames(touched).field;
  const share = ((right - left) * (bottom - top)) / ((x1 - x0) * (y1 - y0));
  const [row, column] = rowAndColumn(touched);
  const about = { row: row + 1, column: column + 1, sum: addends(grid, touched) };
  return `${say("cell_text", about)} ${share > 0.995 ? words.sees_all : say("sees", { share: percent(share, true) })}`;
}

/** A branch's map and its share, on one scale for the four. @param {string} branch @param {number} b */
function branchFigure(branch, b) {
  const { stage } = state;
  const grid = state.answer.grids[stage];
  const [share, name] = [summary(stage).branches[branch], branchName(branch)];
  const alt = say("branch_alt", { stage, branch: name, class: askedName(), share: percent(share, true) });
  return html`<div>${mapCell(alt, canvas => paint(canvas, grid, grid.branches[b], scaleOf(grid.branches)))}
    <div><b>${name}</b> <span class="soft share">${percent(share)}</span></div>
    <div class="bar"><i style="width:${share * 100}%"></i></div></div>`;
}

subscribe(["touched"], () => {
  if (state.touched !== null) $(".announce").textContent = cellText();
});
addTab("evidence", {
  show(stage) {
    $(".stage-text").textContent = stageText(summary(stage), state.answer.grids[stage]);
    $(".cell-text").textContent = cellText();
    $(".third").textContent = thirdText();
    put($(".four"), ...BRANCHES.map(branchFigure));
  },
});
