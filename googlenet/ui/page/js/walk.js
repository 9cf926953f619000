// The nine stages in three acts, from pixels to the heads. One tab stop for nine; arrow keys step through them.
import { stageAlt } from "./answer.js";
import { mapCell, paint } from "./drawing.js";
import { stored } from "./memory.js";
import { $, $$, HEADS, html, LAST, on, paintIn, rove, STAGES, still } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { say, words } from "./words.js";

HEADS.forEach((head, i) => {
  const stages = STAGES.slice(3 * i, 3 * i + 3).map(
    name => html`<button type="button" class="stage" data-stage="${name}" ${() => choose(name)}>
      ${mapCell("", canvas => paintStage(canvas, name))}
      <span class="name"><b>${name}</b> <span class="soft size"></span></span></button>`,
  );
  $(".strip").append(html`<div class="act" role="group" aria-label="${say("act", { head: words[head] })}">${stages}</div>`);
});
$(".strip").append(html`<p class="behind soft small" hidden></p>`);

/** @param {any} canvas @param {string} name */
function paintStage(canvas, name) {
  paint(canvas, state.answer.grids[name]);
  canvas.setAttribute("aria-label", stageAlt(name));
}
/** The stages that the asked head sees. */
export function seenStages() {
  return STAGES.filter(name => state.answer.grids[name]);
}
/** Enlarge a stage that a person chose, which ends the playing. @param {string} name */
function choose(name) {
  set({ playing: false });
  if (name === state.stage) return set({ chosen: true });
  set({ stage: name, chosen: true, touched: null });
  $(".announce").textContent = stageAlt(name);
}

/** Draw the strip: every stage's overlay, and one bracket over the stages that the asked head does not see. */
subscribe(["answer"], () => {
  const { head } = state.answer.result.question;
  const unseen = STAGES.length - seenStages().length;
  $(".behind").hidden = !unseen;
  $(".behind").style.gridColumn = `${4 - unseen / 3} / 4`;
  $(".behind").textContent = unseen ? say("behind", { head: words[head], name: head, stage: LAST[head] }) : "";
  for (const node of $$(".stage")) {
    const grid = state.answer.grids[node.dataset.stage];
    node.disabled = node.querySelector("canvas").hidden = !grid;
    node.querySelector(".size").textContent = grid ? `${grid.h}×${grid.w}` : "";
  }
  paintIn($(".strip"));
});
/** On a phone, where acts and cards are rows to swipe: bring the chosen stage's into view. @param {ScrollBehavior} behavior */
function turn(behavior) {
  const act = Math.max(0, Math.floor(STAGES.indexOf(state.stage) / 3));
  for (const row of [$(".strip"), $(".cards")])
    row.scrollTo({ left: row.children[act].offsetLeft - row.children[0].offsetLeft, behavior });
}
/** @type {any} */ let shown = null;
subscribe(["answer", "stage"], () => {
  for (const node of $$(".stage")) node.setAttribute("aria-pressed", node.dataset.stage === state.stage);
  rove($(".strip"), true);
  if (state.answer) turn(still.matches || shown !== state.answer ? "auto" : "smooth");
  shown = state.answer;
});
new ResizeObserver(() => turn("auto")).observe($(".strip")); // the phone was turned

// Playing the walk: from 3a to the asked head, overlays light up in turn, cards fill where a head is reached, the sentence grows.

const STEP = 300; // milliseconds a stage: nine take 2.7 s
let timer = 0; // of the next step, or 0

function play() {
  if (timer) return;
  set({ chosen: false });
  const seen = seenStages();
  const spans = $$(".say .word");
  for (const node of spans) node.classList.remove("come");
  $(".page").classList.add("playing");
  for (const node of $$(".stage, .card")) node.classList.add("ahead");
  let at = 0;
  const next = () => {
    if (at === seen.length) return set({ playing: false });
    const name = seen[at++];
    set({ stage: name, touched: null });
    $(`.stage[data-stage="${name}"]`).classList.remove("ahead");
    const reached = HEADS.find(head => LAST[head] === name);
    if (reached) $(`.card[data-head="${reached}"]`).classList.remove("ahead");
    for (const span of spans.slice(0, Math.round((spans.length * at) / seen.length))) span.classList.add("come");
    timer = setTimeout(next, at === seen.length ? 2 * STEP : still.matches ? 3 * STEP : STEP);
  };
  timer = setTimeout(next, still.matches ? 0 : STEP / 2);
}

function stop() {
  if (!timer) return;
  clearTimeout(timer);
  timer = 0;
  $(".page").classList.remove("playing");
  for (const node of $$(".ahead")) node.classList.remove("ahead");
  set({ stage: state.answer.standing, touched: null });
}

function playButton() {
  $(".play").textContent = state.playing ? "❚❚" : "▶";
  $(".play").ariaLabel = $(".play").title = state.playing ? words.pause : words.play;
}
playButton();
subscribe(["playing"], () => {
  playButton();
  if (state.playing) play();
  else stop();
});
export function playOrStop() {
  if (state.answer) set({ playing: !state.playing });
}
on(".play", "click", playOrStop);

/** On opening, the first example plays once, and never again by itself. */
export function playOnce() {
  if (still.matches || stored("localStorage", "played")) return;
  stored("localStorage", "played", true);
  set({ playing: true });
}
