// @ts-check
// The chosen stage, large: its overlay, its legend, the touched cell and the part of the picture that this cell can see.
import { painted, stageAlt } from "./answer.js";
import { ask } from "./asking.js";
import { colour, looks, mark, paint, scaleOf } from "./drawing.js";
import { $, still } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { currentTab, showTab } from "./tabs.js";
import { say, words } from "./words.js";

$(".big").setAttribute("aria-label", words.big);

/** Show the chosen stage large, with the tab that is open. */
function enlarge() {
  if (!state.answer) return;
  const { stage } = state;
  const grid = state.answer.grids[stage];
  const canvas = $(".big canvas");
  fade(canvas);
  paint(canvas, grid, grid.sum, scaleOf([grid.sum]));
  canvas.setAttribute("aria-label", stageAlt(stage));
  $("#stage-title").textContent = say("stage_title", { stage });
  legend();
  markCell();
  showTab();
}
painted(enlarge);
subscribe(["stage", "tab"], enlarge);

/** What was painted before stays on top and fades. @param {any} canvas */
function fade(canvas) {
  const before = $(".big .before");
  if (still.matches || !canvas.width || before.dataset.stage === state.stage) return;
  before.dataset.stage = state.stage;
  before.width = canvas.width;
  before.height = canvas.height;
  before.style.width = canvas.style.width;
  before.style.height = canvas.style.height;
  before.getContext("2d").drawImage(canvas, 0, 0);
  before.animate([{ opacity: 1 }, { opacity: 0 }], { duration: 240, easing: "ease-out", fill: "forwards" });
}

function legend() {
  const { against } = looks();
  const stops = [0, 0.2, 0.4, 0.6, 0.8, 1];
  const warm = stops.map(v => `color-mix(in srgb, ${colour(v)} ${v * 100}%, #2b2b2b)`);
  const cold = stops.map(v => `color-mix(in srgb, ${colour(v, true)} ${v * 100}%, #2b2b2b)`).reverse();
  $(".legend i").style.background = `linear-gradient(90deg, ${[...(against ? cold : []), ...warm].join(", ")})`;
  $(".legend .low").textContent = against ? words.legend_against : words.legend_none;
  $(".legend .high").textContent = against ? words.legend_for : words.legend_most;
}

/** A cell's own square and the part of the picture that it can see, in pixels of the picture. @param {number} cell */
export function cellFrames(cell) {
  const grid = state.answer.grids[state.stage];
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const [row, column] = [Math.floor(cell / grid.w), cell % grid.w];
  const [wide, high] = [(x1 - x0) / grid.w, (y1 - y0) / grid.h];
  const own = [x0 + column * wide, y0 + row * high, x0 + (column + 1) * wide, y0 + (row + 1) * high];
  const { start, stride, size } = state.weights.fields[state.stage]; // in pixels of the network's input
  const reach = (/** @type {number} */ at, /** @type {number} */ from, /** @type {number} */ to) => {
    const [first, pixel] = [start + at * stride, (to - from) / state.weights.side];
    return [Math.max(from, from + first * pixel), Math.min(to, from + (first + size) * pixel)];
  };
  const [left, right] = reach(column, x0, x1);
  const [top, bottom] = reach(row, y0, y1);
  const field = [left, top, right, bottom];
  return { own, field };
}

/** Draw the frames of the touched cell and of the open tab. */
export function markCell() {
  const frames = [];
  if (state.touched !== null) {
    const { own, field } = cellFrames(state.touched);
    frames.push({ box: field, class: "field" }, { box: own, class: "own" });
  }
  mark($(".big"), state.answer.result.seen, [...frames, ...(currentTab()?.frames?.() ?? [])]);
}

/** @param {number | null} cell */
function touch(cell) {
  const { stage } = state;
  set({ playing: false }); // which lets another stage stand
  set({ stage, chosen: true, touched: cell });
  markCell();
  showTab();
}

/** The place of a pointer on the enlarged stage, in pixels of the picture. @param {PointerEvent | MouseEvent} event */
export function pointed(event) {
  const box = $(".big canvas").getBoundingClientRect();
  const part = state.answer.result.seen;
  const share = (/** @type {number} */ at, /** @type {number} */ from, /** @type {number} */ size) =>
    Math.min(1, Math.max(0, (at - from) / size));
  return [
    part[0] + share(event.clientX, box.left, box.width) * (part[2] - part[0]),
    part[1] + share(event.clientY, box.top, box.height) * (part[3] - part[1]),
  ];
}

$(".big").addEventListener("click", (/** @type {MouseEvent} */ event) => {
  if (!state.answer || event.defaultPrevented) return;
  const grid = state.answer.grids[state.stage];
  const [x, y] = pointed(event);
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const row = Math.min(grid.h - 1, Math.floor(((y - y0) / (y1 - y0)) * grid.h));
  const column = Math.min(grid.w - 1, Math.floor(((x - x0) / (x1 - x0)) * grid.w));
  const cell = row * grid.w + column;
  touch(cell === state.touched ? null : cell);
});
$(".big").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (!state.answer) return;
  const { h, w, top } = state.answer.grids[state.stage];
  const at = state.touched ?? top;
  const [row, column] = [Math.floor(at / w), at % w];
  const to = {
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
  }[event.key];
  if (event.key === "Enter") touch(top);
  else if (event.key === "Escape") touch(null);
  else if (to) touch(Math.min(h - 1, Math.max(0, to[0])) * w + Math.min(w - 1, Math.max(0, to[1])));
  else return;
  event.preventDefault();
});

// How the maps are made: Grad-CAM or LayerCAM. The choice holds for what is asked from now on.

$(".method").addEventListener("change", () => ask({ ...state.wanted, method: $(".method").value }));
subscribe(["answer"], () => {
  $(".method").value = state.answer.result.question.method;
});
