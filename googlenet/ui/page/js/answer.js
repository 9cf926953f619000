// Words for what an answer holds; its photograph; and painting anew when the window or a control changes.
import { mark, paintPhoto } from "./drawing.js";
import { remember } from "./memory.js";
import { $, $$, on, paintIn, still, svg } from "./page.js";
import { state, subscribe } from "./store.js";
import { nameOf, rounded, say, words } from "./words.js";

/** A stage of the answer's JSON. @param {string} name @returns {any} */
export function summary(name) {
  return state.answer.result.stages.find(each => each.name === name);
}
/** What is asked, with what it is rather than. */
export function askedName() {
  const { target, contrast } = state.answer.result.question;
  return contrast ? say("rather", { target: nameOf(target), contrast: nameOf(contrast) }) : nameOf(target);
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
$(".picture").paint = () => {
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
};
/** The last pictures of this tab with what was answered, the newest first. @type {Kept[]} */ export let lastPictures = [];
const KEPT = 12;

subscribe(["answer"], () => {
  const { answer, photo, weights } = state;
  const others = lastPictures.filter(each => each.answer.picture !== answer.picture);
  lastPictures = [{ answer, photo, weights }, ...others].slice(0, KEPT);
  speak();
  paintIn($(".photo"));
  if (still.matches) return;
  $$(".strip .stage, .rows").forEach((node, i) => {
    node.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 220, delay: Math.min(i, 8) * 30, fill: "backwards" });
  });
});

let frame = 0;
export function repaint() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    if (state.answer) paintIn($(".page"));
  });
}
/** A slider speaks its value in per cent. */
function speak() {
  $(".overlay").setAttribute("aria-valuetext", rounded($(".overlay").value));
}
on(".looks", "input", () => {
  speak();
  repaint();
  remember();
});
const sizes = new ResizeObserver(repaint);
for (const selector of [".big", ".photo", ".strip"]) sizes.observe($(selector));
