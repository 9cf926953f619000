// In front of a class: presenting, predicting and the lesson.
import { askedName, repaint, summary } from "./answer.js";
import { ask } from "./asking.js";
import { addends } from "./enlarged.js";
import { stored } from "./memory.js";
import { $, $$, BRANCHES, html, on, props, STAGES, step, still, svg } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { playOrStop, seenStages } from "./walk.js";
import { branchName, percent, say, thirdText, words } from "./words.js";

// Presenting: the full screen, large type, without what nobody reads from the back row. Keys walk and play from anywhere.

/** @param {boolean} large */
function presenting(large) {
  $(".page").classList.toggle("presenting", large);
  $(".present").setAttribute("aria-pressed", large);
  $(".present").textContent = large ? words.present_leave : words.present;
  repaint();
}
on(".present", "click", () => {
  const large = !$(".presenting");
  if (large)
    document.documentElement.requestFullscreen?.().catch(() => {}); // a frame may forbid it; the view is large all the same
  else if (document.fullscreenElement) document.exitFullscreen();
  presenting(large);
});
document.addEventListener("fullscreenchange", () => {
  if (!document.fullscreenElement) presenting(false);
});
document.addEventListener("keydown", event => {
  const { key, target } = /** @type {any} */ (event);
  if (!$(".presenting") || !state.answer || event.defaultPrevented || target.closest("input, .big, [role=tab]")) return;
  if (key === " ") playOrStop();
  else if (!step($(".strip"), $(".stage[aria-pressed=true]"), key, true)) return;
  event.preventDefault();
});

// Predict, then reveal: of each new picture, names and numbers stay hidden until whoever watches has guessed.

let predicts = stored("sessionStorage", "predict") === true;
let revealed = ""; // the picture whose answer was seen

function hide() {
  if (state.answer) set({ guessing: predicts && state.answer.picture !== revealed });
}
for (const control of $$(".predict input")) {
  control.checked = predicts;
  control.addEventListener("change", () => {
    predicts = control.checked;
    stored("sessionStorage", "predict", predicts);
    for (const other of $$(".predict input")) other.checked = predicts;
    revealed = "";
    hide();
  });
}
on(".reveal", "click", () => {
  revealed = state.answer.picture;
  hide();
  $(".headline").focus();
});
subscribe(["answer"], hide);
subscribe(["guessing"], () => {
  $(".page").classList.toggle("guessing", state.guessing);
  $(".guess").hidden = !state.guessing;
  repaint();
});

// The lesson: five steps, each with a task and a button that drives the page. Its drawings and its formula follow the picture.

/** Show the chosen stage as four branches, each as thick as its share of the evidence. */
function drawModule() {
  const { stage } = state;
  const { branches } = summary(stage);
  let out = 0; // where the next branch's part of the stack begins
  const flows = BRANCHES.map((branch, b) => {
    const [y, part, thick] = [46 * (b + 0.5), 184 * branches[branch], Math.max(1, 26 * branches[branch])];
    const [top, middle] = [out, out + part / 2];
    out += part;
    return svg`<path class="flow share" d="M196 ${y}H286C322 ${y} 322 ${middle} 356 ${middle}" style="stroke-width:${thick}"/>
      <text class="figure" x="218" y="${y - thick / 2 - 4}">${percent(branches[branch])}</text>
      <rect class="part" x="356" y="${top}" width="20" height="${Math.max(0, part - 1)}"/>`;
  });
  const shares = BRANCHES.map(branch => `${branchName(branch)} ${percent(branches[branch], true)}`).join(", ");
  const before = STAGES[STAGES.indexOf(stage) - 1] ?? words.module_stem;
  const about = { stage, before, class: askedName(), shares };
  $(".module .shares").replaceChildren(...flows);
  $(".module svg").setAttribute("aria-label", say("module_alt", about));
  $(".module .before").textContent = before;
  $(".module .after").textContent = stage;
  $(".module figcaption").textContent = `${say("module_text", about)} ${thirdText()}`;
}
const wrong = props.examples.find((/** @type {any} */ each) => each.truth);
function nextStage() {
  const seen = seenStages();
  set({ stage: seen[(seen.indexOf(state.stage) + 1) % seen.length], chosen: true, touched: null });
}
function coverBrightest() {
  set({ tab: "test" });
  $("#tab-cover .plain").click();
}
/** what the button of each step does, and where it is seen @type {[() => void, string][]} */
const STEPS = [
  [() => set({ playing: true }), ".strip"],
  [nextStage, ".module"],
  [() => set({ tab: "evidence", stage: state.stage, chosen: true, touched: state.answer.grids[state.stage].top }), ".hero"],
  [coverBrightest, ".about"],
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

/** Bring the open lesson up to date with the chosen stage, which is marked in the drawing of the whole network. */
function teach() {
  if (!$(".teach").open || !state.answer) return;
  const { stage } = state;
  const grid = state.answer.grids[stage];
  const method = $(".method").selectedOptions[0].text;
  $(".network svg").setAttribute("aria-label", say("network_alt", { stage }));
  for (const node of $$(".network [data-stage]")) node.classList.toggle("here", node.dataset.stage === stage);
  $(".network .pointer").style.transform = `translateX(${40 * STAGES.indexOf(stage)}px)`;
  drawModule();
  $(".numbers").replaceChildren(
    html`${say("teach_formula", { stage, method })}<br><span class="sum">${addends(grid, grid.top)}</span>`,
  );
}
on(".teach", "toggle", teach);
subscribe(["answer", "stage"], teach);
