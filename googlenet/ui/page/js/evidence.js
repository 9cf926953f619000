// @ts-check
// The tab "Evidence": what the enlarged stage's map says, the touched cell, and how the four filter sizes share in it.
import { askedName, place, summary } from "./answer.js";
import { paint, scaleOf } from "./drawing.js";
import { cellFrames } from "./enlarged.js";
import { $, BRANCHES, html } from "./page.js";
import { state, subscribe } from "./store.js";
import { addTab } from "./tabs.js";
import { branchName, percent, proseOf, say, words } from "./words.js";
import "./help.js";

for (const branch of BRANCHES) {
  $(".four").append(
    html`<div data-branch="${branch}"><span class="cell"><canvas role="img"></canvas></span>
      <div><b>${branchName(branch)}</b> <span class="soft share"></span></div><div class="bar"><i></i></div></div>`,
  );
}

const weight = html`<span></span>`;
$("#help-share").append(" ", weight);

/** What the map says. @param {any} info a stage of the answer's JSON @param {Grid} grid */
function stageText(info, grid) {
  const known = { h: grid.h, w: grid.w, class: askedName() };
  if (!info.peak) return say("stage_text_none", known);
  const share = info.share_of_evidence;
  weight.textContent = say("speaks", { ...known, share: percent(share, true), rest: percent(1 - share, true) });
  return say("stage_text", { ...known, ...place(info.peak) });
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

/** What was measured once for these weights, of the enlarged stage and the asked head. */
export function knownTrust() {
  const { head, method } = state.answer.result.question;
  const said = state.weights.trust[method]?.[head]?.[state.stage];
  return said ? proseOf(said) : words.trust_unknown;
}

function cellText() {
  const { touched } = state;
  if (touched === null) return words.touch;
  const grid = state.answer.grids[state.stage];
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const { field } = cellFrames(touched);
  const share = ((field[2] - field[0]) * (field[3] - field[1])) / ((x1 - x0) * (y1 - y0));
  const about = { row: Math.floor(touched / grid.w) + 1, column: (touched % grid.w) + 1, sum: addends(grid, touched) };
  return `${say("cell_text", about)} ${share > 0.995 ? words.sees_all : say("sees", { share: percent(share, true) })}`;
}

/** @param {any} _ @param {string} stage */
function showEvidence(_, stage) {
  const grid = state.answer.grids[stage];
  const info = summary(stage);
  $(".stage-text").textContent = stageText(info, grid);
  $(".cell-text").textContent = cellText();
  const scale = scaleOf(grid.branches); // one for the four
  BRANCHES.forEach((branch, b) => {
    const node = $(`.four [data-branch="${branch}"]`);
    const share = info.branches[branch];
    const about = { stage, branch: branchName(branch), class: askedName(), share: percent(share, true) };
    paint(node.querySelector("canvas"), grid, grid.branches[b], scale);
    node.querySelector("canvas").setAttribute("aria-label", say("branch_alt", about));
    node.querySelector(".share").textContent = percent(share);
    node.querySelector(".bar i").style.width = `${share * 100}%`;
  });
}

subscribe(["touched"], () => {
  if (state.touched !== null) $(".announce").textContent = cellText();
});
addTab({ name: "evidence", title: words.tab_evidence, show: showEvidence });
