// @ts-check
// Asking a question and taking its answer. One question runs and at most one waits: the newest.
import { Refusal, SLOW, call } from "./call.js";
import { unpack } from "./drawing.js";
import { kept, whereabouts } from "./memory.js";
import { busy, complain, notice, working } from "./notices.js";
import { $, pause, props } from "./page.js";
import { deliver } from "./pictures.js";
import { set, state } from "./store.js";
import { cancelLoad, carried, load, sourceName } from "./weights.js";
import { keyOf, say, words } from "./words.js";

const PLAIN = { head: "main", target: null, contrast: null, example: null, path: null, original: null, method: "grad-cam" };
let newest = new AbortController(); // of what was begun last: what is aborted is never painted
let sent = new AbortController(); // of the question that Python works on
/** @type {Promise<unknown>} */ let running = Promise.resolve(); // until it is answered
let confirmed = ""; // what is said when the first answer of new weights is there

/** Begin something that brings a new answer: what was begun before is out of date. @param {string} text what the page does */
export function begin(text) {
  newest.abort();
  newest = new AbortController();
  set({ playing: false });
  busy(text);
  return newest.signal;
}
/** Ask Python, and give it again what it has lost meanwhile: the picture.
 * @param {string} name of a function of the server @param {any} question @param {(progress: import("./call.js").Progress) => void} [told]
 * @param {AbortSignal} [signal] @returns {Promise<any>} */
async function insist(name, question, told, signal) {
  const { path, ...rest } = question;
  try {
    return await call(name, { ...rest, upload: whereabouts(path) }, told, signal);
  } catch (refusal) {
    const picture = refusal instanceof Refusal && refusal.kind === "gone" && path && (await kept(path));
    if (!picture) throw refusal;
    await deliver(picture, signal ?? newest.signal);
    return call(name, { ...rest, upload: whereabouts(path) }, told, signal);
  }
}
/** Ask about an answer, the painted one unless another is named. What is refused is said, and undefined returned.
 * @param {string} name @param {any} fields @param {(progress: import("./call.js").Progress) => void} [told] @param {Answer} [of] */
export async function request(name, fields, told, of = state.answer) {
  try {
    return await insist(name, { ...of.asked, ...fields }, told);
  } catch (error) {
    if (/** @type {any} */ (error).kind === "not_loaded") askWith(of.asked, /** @type {Refusal} */ (error).source);
    else if (state.answer === of) complain(/** @type {Error} */ (error).message);
  }
}

/** The method that was chosen last. */
function method() {
  return state.wanted && { method: state.wanted.method };
}
/** Ask for an answer. @param {Partial<Question>} question what differs from a plain question about the main head's own class
 * @param {boolean} back whether it comes from the browser's Back */
export async function ask(question, back = false) {
  const signal = begin(words.working);
  const { chosen } = state.weights;
  /** @type {Question} */ const wanted = { ...PLAIN, ...method(), ...question, weights: chosen };
  if (wanted.target !== null && wanted.target === wanted.contrast) wanted.contrast = null; // "lion rather than lion" asks nothing
  set({ wanted, back });
  await Promise.race([running, pause(SLOW)]);
  if (signal.aborted) return;
  sent.abort();
  sent = new AbortController();
  const known = state.answer?.picture === pictureOf(wanted);
  const asking = insist("explain", { ...wanted, known }, told => signal.aborted || wait(told), sent.signal);
  running = asking.catch(() => {});
  try {
    const { answer } = await asking;
    if (!signal.aborted) await show(answer, wanted, signal);
  } catch (error) {
    if (signal.aborted) return;
    const { kind, source, message } = /** @type {Refusal} */ (error);
    if (kind === "not_loaded") askWith(wanted, source);
    else fail(message);
  }
}
/** Say why there is no answer yet. @param {import("./call.js").Progress} told */
function wait(told) {
  if (told.restarting) notice(words.restarting);
  else if (told.place) working(say("queue", { place: told.place }));
  else if (told.slow || told.lost) working(told.lost || !navigator.onLine ? words.no_connection : words.slow);
}
/** Ask a question whose weights must be loaded first. Where they cannot be had, the page's own answer it.
 * @param {Partial<Question>} question @param {string} source */
export async function askWith(question, source) {
  const signal = begin(say("loading", { source: sourceName(source) }));
  const before = state.weights;
  set({ wanted: { ...PLAIN, ...method(), ...question, weights: source } });
  try {
    await load(source);
    confirm();
  } catch (error) {
    if (signal.aborted) return;
    const text = /** @type {Error} */ (error).message;
    if (before.chosen) {
      await load(null).catch(() => {});
      confirm(text);
      question = carried(/** @type {Question} */ ({ ...PLAIN, ...question }), before);
    } else $(".weights").open = true;
  }
  if (!signal.aborted) ask(question);
}
/** Load weights that the visitor chooses, and ask them what was asked before. @param {string | null} source */
export async function choose(source) {
  const before = state.weights;
  try {
    await load(source);
  } catch {
    return; // `state.load` says why
  }
  confirm();
  ask(carried(state.wanted ?? firstQuestion(), before));
}
/** Say with the next answer which weights gave it. @param {string} text what is said before */
function confirm(text = "") {
  const { chosen, labels } = state.weights;
  const about = { source: sourceName(chosen), count: labels.length.toLocaleString("en") };
  confirmed = `${text} ${say("now_with", about)}`.trim();
}

/** Paint an answer. @param {any} packed @param {Question} question @param {AbortSignal} [signal] */
export async function show(packed, question, signal) {
  let { photo } = state;
  if (packed.picture) {
    photo = new Image();
    photo.src = packed.picture;
    await photo.decode();
    if (signal?.aborted) return;
  }
  const grids = Object.fromEntries(Object.entries(packed.grids).map(([name, grid]) => [name, unpack(grid)]));
  const { head, target, contrast } = packed.result.question;
  const asked = { ...question, head, target: keyOf(target), contrast: contrast && keyOf(contrast) };
  busy("");
  notice(confirmed);
  confirmed = "";
  $(".take-say").textContent = question.original ? words.reduced : "";
  const stage = state.chosen && grids[state.stage] ? state.stage : packed.standing;
  set({ answer: { ...packed, grids, asked, picture: pictureOf(question) }, photo, wanted: asked, stage, touched: null });
}
/** Back to the last good answer, with the reason. @param {string} text */
export async function fail(text) {
  busy("");
  const { answer } = state;
  if (answer) set({ answer, wanted: answer.asked, touched: null });
  else if (props.value.answer) await show(props.value.answer, firstQuestion());
  complain(text);
}
/** The question whose answer the page opens with. @returns {Question} */
export function firstQuestion() {
  return { ...PLAIN, example: props.examples[0].name, weights: null };
}
/** @param {Question} question */
function pictureOf(question) {
  return question.example ? `example:${question.example}` : (question.path ?? "");
}

$(".stop").addEventListener("click", () => {
  newest.abort();
  sent.abort();
  cancelLoad();
  fail("");
});
window.addEventListener("offline", () => working(words.no_connection));
