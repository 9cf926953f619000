// @ts-check
// Painting an answer: the photograph, and everything else anew when the window or a control changes.
import { mark, paintPhoto } from "./drawing.js";
import { remember } from "./memory.js";
import { $, $$, rove, still, svg } from "./page.js";
import { state, subscribe } from "./store.js";
import { nameOf, rounded, say, words } from "./words.js";

$(".takes").setAttribute("aria-label", words.take);
rove($(".takes"));

/** A stage of the answer's JSON. @param {string} name @returns {any} */
export function summary(name) {
  return state.answer.result.stages.find(each => each.name === name);
}
/** What is asked, with what it is rather than. @param {Kept} of */
export function askedName({ answer, weights } = state) {
  const { target, contrast } = answer.result.question;
  return contrast ? `${nameOf(target, weights)} − ${nameOf(contrast, weights)}` : nameOf(target, weights);
}
/** A position in the picture in per cent. @param {number[]} peak @param {Kept} of */
export function place(peak, { answer } = state) {
  return { x: Math.round((peak[0] / answer.size[0]) * 100), y: Math.round((peak[1] / answer.size[1]) * 100) };
}
/** A stage's map in words. @param {string} name */
export function stageAlt(name) {
  if (state.guessing) return say("stage_title", { stage: name });
  const { peak } = summary(name);
  const about = { stage: name, head: state.answer.result.question.head, class: askedName() };
  return peak ? say("stage_alt", { ...about, ...place(peak) }) : say("stage_alt_none", about);
}

/** The picture as it came, with what the crop kept. */
function drawPhoto() {
  const { size, result } = state.answer;
  const [width, height] = size;
  const [x0, y0, x1, y1] = result.seen;
  paintPhoto($(".picture"), state.photo);
  $(".picture").setAttribute("aria-label", say("photo_alt", { name: state.guessing ? "?" : result.image }));
  const cropped = x0 > 1 || y0 > 1 || x1 < width - 1 || y1 < height - 1;
  mark($(".photo"), [0, 0, width, height], cropped ? [{ box: result.seen, class: "crop" }] : []);
  const outside = `M0 0H${width}V${height}H0ZM${x0} ${y0}V${y1}H${x1}V${y0}Z`; // the frame's other way round leaves a hole
  if (cropped) $(".photo .marks").prepend(svg`<path class="unseen" d="${outside}"/>`);
  $(".photo").title = cropped ? words.crop : "";
}

/** functions that paint canvases @type {(() => void)[]} */ const painters = [drawPhoto];
/** Paint with each answer, and again when the page's size or look changes. @param {() => void} act */
export function painted(act) {
  painters.push(act);
}
function draws() {
  for (const act of painters) act();
}
let frame = 0;
export function repaint() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    if (state.answer) draws();
  });
}
subscribe(["answer"], () => {
  draws();
  if (still.matches) return;
  $$(".strip .stage, .rows").forEach((node, i) => {
    node.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 220, delay: Math.min(i, 8) * 30, fill: "backwards" });
  });
});
for (const control of $$(".looks input")) {
  spoken(control);
  control.addEventListener("input", () => {
    spoken(control);
    repaint();
    remember();
  });
}
/** A slider speaks its value in per cent. @param {any} control */
function spoken(control) {
  if (control.type === "range") control.setAttribute("aria-valuetext", rounded(control.value));
}
const sizes = new ResizeObserver(repaint);
for (const selector of [".big", ".photo", ".strip"]) sizes.observe($(selector));
