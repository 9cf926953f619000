// @ts-check
// Playing the walk: from 3a to the asked head, each overlay lights up in turn, a card fills when its branch is reached, and the
// sentence grows with it.
import { sentence } from "./answer.js";
import { $, $$, HEADS, LAST, make, still } from "./page.js";
import { stored } from "./storage.js";
import { set, state, subscribe } from "./store.js";
import { seenStages } from "./strip.js";
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

/** How many of the sentence's words stand when a share of the walk is done: those before "aux2" wait for stage 4d, and so on.
 * @param {any[]} spans @param {number} done stages passed, of nine */
function wordsBy(spans, done) {
  const texts = spans.map(span => span.textContent);
  const aux2 = texts.findIndex(text => text.startsWith("aux2"));
  const main = texts.findIndex((text, i) => i > aux2 && text.startsWith("main"));
  const marks =
    aux2 > 0 && main > aux2 ? [0, aux2, main, texts.length] : [0, texts.length / 3, (2 * texts.length) / 3, texts.length];
  const act = Math.min(2, Math.floor(done / 3));
  return Math.round(marks[act] + ((marks[act + 1] - marks[act]) * (done - 3 * act)) / 3);
}

function play() {
  if (timer) return;
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
    const count = at === seen.length ? spans.length : wordsBy(spans, at);
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
