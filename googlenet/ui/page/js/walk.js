// @ts-check
// The nine stages in three acts, from pixels to the heads. One tab stop for nine; arrow keys step through them.
import { painted, stageAlt } from "./answer.js";
import { paint, scaleOf } from "./drawing.js";
import { sentence } from "./heads.js";
import { stored } from "./memory.js";
import { $, $$, HEADS, html, LAST, STAGES, still } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { say, words } from "./words.js";

HEADS.forEach((head, i) => {
  const stages = STAGES.slice(3 * i, 3 * i + 3).map(
    name => html`<button type="button" class="stage" data-stage="${name}" tabindex="-1" ${() => choose(name)}>
      <span class="cell"><canvas role="img"></canvas></span>
      <span class="name"><b>${name}</b> <span class="soft size"></span></span></button>`,
  );
  $(".strip").append(html`<div class="act" role="group" aria-label="${say("act", { head: words[head] })}">${stages}</div>`);
});
$(".strip").append(html`<p class="behind soft small" hidden></p>`);
$(".strip").setAttribute("aria-label", words.strip);
$(".strip").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (step(event.key)) event.preventDefault();
});
$(".walk").setAttribute("aria-label", words.walk);

/** @param {string} name @returns {any} */
function button(name) {
  return $(`.stage[data-stage="${name}"]`);
}
/** The stages that the asked head sees. */
export function seenStages() {
  return STAGES.filter(name => state.answer.grids[name]);
}
/** Go through the stages by a key. @param {string} key @returns {boolean} whether it was one */
export function step(key) {
  const seen = seenStages();
  const at = seen.indexOf(state.stage);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: seen.length - 1 }[key];
  if (to === undefined) return false;
  if (seen[to]) {
    choose(seen[to]);
    button(seen[to]).focus({ preventScroll: true });
  }
  return true;
}
/** Enlarge a stage that a person chose, which ends the playing. @param {string} name */
function choose(name) {
  set({ playing: false });
  if (name === state.stage) return set({ chosen: true });
  set({ stage: name, chosen: true, touched: null });
  $(".announce").textContent = stageAlt(name);
}

/** On a phone, where acts and cards are rows to swipe: bring the chosen stage's act and its card into view.
 * @param {ScrollBehavior} behavior */
function turn(behavior) {
  const act = Math.floor(STAGES.indexOf(state.stage) / 3);
  for (const row of [$(".strip"), $(".cards")]) {
    if (row.scrollWidth > row.clientWidth + 4)
      row.scrollTo({ left: row.children[act].offsetLeft - row.children[0].offsetLeft, behavior });
  }
}

/** Draw the strip: every stage's overlay, and one bracket over the stages that the asked head does not see. */
function showStrip() {
  const { head } = state.answer.result.question;
  const unseen = STAGES.length - seenStages().length;
  $(".behind").hidden = !unseen;
  $(".behind").style.gridColumn = `${4 - unseen / 3} / 4`;
  $(".behind").textContent = unseen ? say("behind", { head: words[head], name: head, stage: LAST[head] }) : "";
  for (const name of STAGES) {
    const node = button(name);
    const canvas = node.querySelector("canvas");
    const grid = state.answer.grids[name];
    node.disabled = canvas.hidden = !grid;
    node.querySelector(".size").textContent = grid ? `${grid.h}×${grid.w}` : "";
    if (!grid) continue;
    paint(canvas, grid, grid.sum, scaleOf([grid.sum]));
    canvas.setAttribute("aria-label", stageAlt(name));
  }
}
painted(showStrip);
subscribe(["answer", "stage"], () => {
  for (const name of STAGES) {
    button(name).setAttribute("aria-pressed", name === state.stage);
    button(name).tabIndex = name === state.stage ? 0 : -1;
  }
});
/** @type {any} */ let shown = null;
subscribe(["answer", "stage"], () => {
  if (!state.answer) return;
  turn(still.matches || shown !== state.answer ? "auto" : "smooth");
  shown = state.answer;
});

// Playing the walk: from 3a to the asked head, each overlay lights up in turn, a card fills when its branch is reached, and the
// sentence grows with it.

const STEP = 300; // milliseconds a stage: nine take 2.7 s
let timer = 0; // of the next step, or 0

/** Wrap the sentence's words, so that they can appear one by one without moving the lines. */
function wrapWords() {
  const walker = document.createTreeWalker($(".say"), NodeFilter.SHOW_TEXT, node =>
    node.parentElement?.closest(".helped") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  /** @type {Text[]} */ const texts = [];
  while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
  for (const text of texts) {
    text.replaceWith(...text.data.split(/(\s+)/).map(part => (part.trim() ? html`<span class="word">${part}</span>` : part)));
  }
}

function play() {
  if (timer) return;
  set({ chosen: false });
  const seen = seenStages();
  const steady = still.matches;
  sentence();
  if (!steady) wrapWords();
  const spans = $$(".say .word");
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
    const count = Math.round((spans.length * at) / seen.length);
    spans.forEach((span, i) => {
      span.classList.toggle("come", i < count);
    });
    timer = setTimeout(next, at === seen.length ? 2 * STEP : steady ? 3 * STEP : STEP);
  };
  timer = setTimeout(next, steady ? 0 : STEP / 2);
}

function stop() {
  if (!timer) return;
  clearTimeout(timer);
  timer = 0;
  $(".page").classList.remove("playing");
  for (const node of $$(".ahead")) node.classList.remove("ahead");
  sentence();
  set({ stage: state.answer.standing, touched: null });
}

function playButton() {
  $(".play").textContent = state.playing ? "❚❚" : "▶";
  $(".play").setAttribute("aria-label", state.playing ? words.pause : words.play);
  $(".play").title = state.playing ? words.pause : words.play;
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
$(".play").addEventListener("click", playOrStop);

/** On opening, the first example plays once, and never again by itself. */
export function playOnce() {
  if (still.matches || stored("localStorage", "played")) return;
  stored("localStorage", "played", true);
  set({ playing: true });
}
