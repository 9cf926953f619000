// The tab "Evidence": what the enlarged stage's map says, the touched cell, and how the four filter sizes share in it.
import { askedName, place, summary } from "./answer.js";
import { mapCell, paint, scaleOf } from "./drawing.js";
import { cellFrames, rowAndColumn } from "./enlarged.js";
import { $, BRANCHES, html, put } from "./page.js";
import { state, subscribe } from "./store.js";
import { addTab } from "./tabs.js";
import { branchName, percent, say, words } from "./words.js";
import "./help.js";

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
    put($(".four"), ...BRANCHES.map(branchFigure));
  },
});
