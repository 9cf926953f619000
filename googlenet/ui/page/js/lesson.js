// @ts-check
// The lesson's part that follows the picture: the chosen stage drawn as an Inception module, and its formula in numbers.
import { askedName, summary } from "./answer.js";
import { addends } from "./evidence.js";
import { $, BRANCHES, draw, make, STAGES } from "./page.js";
import { state, subscribe } from "./store.js";
import { branchName, percent, say, words } from "./words.js";

const MODULE = { width: 400, row: 46, box: 26 }; // in units of the drawing
/** branch → what stands in its two boxes; the first branch has one */
const INSIDE = /** @type {Record<string, string[]>} */ ({
  "1x1": ["1×1"],
  "3x3": ["1×1", "3×3"],
  "5x5": ["1×1", "5×5"],
  pool: [words.module_pool, "1×1"],
});

/** What comes into a stage. @param {string} name */
function inputOf(name) {
  return STAGES[STAGES.indexOf(name) - 1] ?? words.module_stem;
}

/** A box with a word in it. @param {number} x @param {number} y @param {number} width @param {string} text */
function moduleBox(x, y, width, text) {
  const { box } = MODULE;
  return [
    draw("rect", { x, y: y - box / 2, width, height: box, rx: 6 }),
    draw("text", { x: x + width / 2, y: y + 5, "text-anchor": "middle" }, text),
  ];
}

/** The chosen stage as four branches between what comes in and what goes out. A branch is as thick as its share of the evidence. */
function drawModule() {
  const { stage } = state;
  const { branches } = summary(stage);
  const height = MODULE.row * BRANCHES.length;
  const svg = draw("svg", { viewBox: `0 0 ${MODULE.width} ${height + 24}`, role: "img" });
  const share = (/** @type {string} */ branch) => branches?.[branch] ?? 0;
  let out = 0; // where the next branch's part of the stack begins
  BRANCHES.forEach((branch, b) => {
    const y = MODULE.row * (b + 0.5);
    const [first, second] = INSIDE[branch];
    const part = share(branch) * height;
    const middle = out + part / 2;
    const thick = Math.max(1, share(branch) * MODULE.box);
    svg.append(
      draw("path", { class: "flow", d: `M44 ${height / 2}C70 ${height / 2} 58 ${y} 76 ${y}H210` }),
      draw("path", {
        class: "flow share",
        d: `M196 ${y}H286C322 ${y} 322 ${middle} 356 ${middle}`,
        style: `stroke-width:${thick}`,
      }),
      ...(second ? moduleBox(76, y, 66, first) : []),
      ...moduleBox(160, y, 50, second ?? first),
      draw("text", { class: "figure", x: 218, y: y - thick / 2 - 4 }, percent(share(branch))),
      draw("rect", { class: "part", x: 356, y: out, width: 20, height: Math.max(0, part - 1) }),
    );
    out += part;
  });
  svg.append(
    draw("rect", { class: "end", x: 24, y: 0, width: 20, height }),
    draw("text", { x: 24, y: height + 18 }, inputOf(stage)),
    draw("text", { class: "figure", x: 376, y: height + 18, "text-anchor": "end" }, stage),
  );
  const told = BRANCHES.map(branch => `${branchName(branch)} ${percent(share(branch), true)}`).join(", ");
  const about = { stage, before: inputOf(stage), class: askedName(), shares: told };
  svg.setAttribute("aria-label", say("module_alt", about));
  $(".module").replaceChildren(svg, make("figcaption", { class: "soft small" }, say("module_text", about)));
}

/** Bring the open lesson up to date with the chosen stage. */
function teach() {
  if (!$(".teach").open || !state.answer) return;
  const grid = state.answer.grids[state.stage];
  drawModule();
  $(".numbers").replaceChildren(
    say("teach_formula", { stage: state.stage }),
    make("br"),
    make("span", { class: "sum" }, addends(grid, grid.top)),
  );
}
$(".teach").addEventListener("toggle", teach);
subscribe(["answer", "stage"], teach);
