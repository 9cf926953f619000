// @ts-check
// The lesson: five steps, each with a task and a button that drives the page. The whole network, the chosen stage drawn as an
// Inception module and its formula in numbers follow the picture.
import { askedName, summary } from "./answer.js";
import { ask } from "./asking.js";
import { addends } from "./evidence.js";
import { $, $$, BRANCHES, HEADS, html, LAST, props, STAGES, still, svg } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { seenStages } from "./walk.js";
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
  return svg`<rect x="${x}" y="${y - box / 2}" width="${width}" height="${box}" rx="6"/>
    <text x="${x + width / 2}" y="${y + 5}" text-anchor="middle">${text}</text>`;
}

/** The chosen stage as four branches between what comes in and what goes out. A branch is as thick as its share of the evidence. */
function drawModule() {
  const { stage } = state;
  const { branches } = summary(stage);
  const height = MODULE.row * BRANCHES.length;
  const share = (/** @type {string} */ branch) => branches?.[branch] ?? 0;
  let out = 0; // where the next branch's part of the stack begins
  const flows = BRANCHES.map((branch, b) => {
    const y = MODULE.row * (b + 0.5);
    const [first, second] = INSIDE[branch];
    const part = share(branch) * height;
    const middle = out + part / 2;
    const thick = Math.max(1, share(branch) * MODULE.box);
    const flow = svg`<path class="flow" d="M44 ${height / 2}C70 ${height / 2} 58 ${y} 76 ${y}H210"/>
      <path class="flow share" d="M196 ${y}H286C322 ${y} 322 ${middle} 356 ${middle}" style="stroke-width:${thick}"/>
      ${second && moduleBox(76, y, 66, first)}${moduleBox(160, y, 50, second ?? first)}
      <text class="figure" x="218" y="${y - thick / 2 - 4}">${percent(share(branch))}</text>
      <rect class="part" x="356" y="${out}" width="20" height="${Math.max(0, part - 1)}"/>`;
    out += part;
    return flow;
  });
  const told = BRANCHES.map(branch => `${branchName(branch)} ${percent(share(branch), true)}`).join(", ");
  const about = { stage, before: inputOf(stage), class: askedName(), shares: told };
  $(".module").replaceChildren(
    html`<svg viewBox="0 0 ${MODULE.width} ${height + 24}" role="img" aria-label="${say("module_alt", about)}">${flows}
        <rect class="end" x="24" y="0" width="20" height="${height}"/><text x="24" y="${height + 18}">${inputOf(stage)}</text>
        <text class="figure" x="376" y="${height + 18}" text-anchor="end">${stage}</text></svg>
      <figcaption class="soft small">${say("module_text", about)}</figcaption>`,
  );
}

/** The whole network: nine stages, three heads, and the chosen stage marked. */
function drawNetwork() {
  const { stage } = state;
  const x = (/** @type {string} */ name) => 38 + 40 * STAGES.indexOf(name);
  const stages = STAGES.map(name => {
    const here = name === stage ? "here" : "";
    return svg`<rect class="${here}" x="${x(name) - 15}" y="47" width="30" height="26" rx="6"/>
      <text class="${here}" x="${x(name)}" y="65" text-anchor="middle">${name}</text>`;
  });
  const heads = HEADS.map(
    head => svg`<path class="flow" d="M${x(LAST[head])} 73V92"/>
      <text x="${x(LAST[head]) + 15}" y="108" text-anchor="end">${words[head]}</text>`,
  );
  $(".network").replaceChildren(
    html`<svg viewBox="0 0 400 118" role="img" aria-label="${say("network_alt", { stage })}">
      <path class="flow" d="M4 60H392"/>${stages}${heads}
      <text class="figure" x="${Math.min(350, Math.max(46, x(stage)))}" y="20" text-anchor="middle">${words.network_here}</text>
      <path class="mark" d="M${x(stage) - 6} 30h12l-6 10z"/></svg>`,
  );
}

const wrong = props.examples.find((/** @type {any} */ each) => each.truth);
/** what the button of each step does, and where it is seen @type {[() => void, string][]} */
const STEPS = [
  [() => set({ playing: true }), ".strip"],
  [
    () => {
      const seen = seenStages();
      set({ stage: seen[(seen.indexOf(state.stage) + 1) % seen.length], chosen: true, touched: null });
    },
    ".module",
  ],
  [() => set({ tab: "evidence", stage: state.stage, chosen: true, touched: state.answer.grids[state.stage].top }), ".hero"],
  [
    () => {
      set({ tab: "test" });
      $("#tab-cover .plain").click();
    },
    ".about",
  ],
  [() => ask({ example: wrong.name }), ".side"],
];
$$(".step").forEach((button, i) => {
  const [act, seen] = STEPS[i];
  button.hidden = i === 4 && !wrong; // a teacher's own pictures have no known wrong answer
  button.addEventListener("click", () => {
    if (!state.answer) return;
    set({ playing: false });
    act();
    $(seen).scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
  });
});

/** Bring the open lesson up to date with the chosen stage. */
function teach() {
  if (!$(".teach").open || !state.answer) return;
  const grid = state.answer.grids[state.stage];
  drawNetwork();
  drawModule();
  $(".numbers").replaceChildren(
    html`${say("teach_formula", { stage: state.stage })}<br><span class="sum">${addends(grid, grid.top)}</span>`,
  );
}
$(".teach").addEventListener("toggle", teach);
subscribe(["answer", "stage"], teach);
