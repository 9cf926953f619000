// @ts-check
// Playing the walk: from 3a to the asked head, each overlay lights up in turn, a card fills when its branch is reached, and the
// sentence grows with it.
import { $, $$, HEADS, LAST, make, still } from "./page.js";
import { stored } from "./storage.js";
import { set, state, subscribe } from "./store.js";
import { seenStages } from "./strip.js";
import { sentence } from "./verdict.js";
import { words } from "./words.js";

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
    text.replaceWith(...text.data.split(/(\s+)/).map(part => (part.trim() ? make("span", { class: "word" }, part) : part)));
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
