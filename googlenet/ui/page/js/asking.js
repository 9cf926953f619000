// Asking a question and taking its answer. One question runs and at most one waits: the newest.
import { lastPictures } from "./answer.js";
import { call, SLOW } from "./call.js";
import { unpacked } from "./drawing.js";
import { kept, whereabouts } from "./memory.js";
import { busy, complain, meter, notice, working } from "./notices.js";
import { $, html, on, pause, props } from "./page.js";
import { deliver } from "./pictures.js";
import { set, state } from "./store.js";
import { cancelLoad, carried, load, sourceName } from "./weights.js";
import { classCount, keyOf, say, words } from "./words.js";

/** A question about the main head's own class. @type {Omit<Question, "weights">} */
const PLAIN = { head: "main", target: null, contrast: null, example: null, path: null, original: null, method: "grad-cam" };
/** What the page opens with. @type {Question} */ const FIRST = { ...PLAIN, example: props.examples[0].name, weights: null };
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
/** Ask Python, and give it again what it has lost meanwhile: the picture. @param {string} name of its function
 * @param {any} question @param {(progress: Progress) => void} [told] @param {AbortSignal} [signal] @returns {Promise<any>} */
async function insist(name, { path, ...rest }, told, signal) {
  const tried = () => call(name, { ...rest, upload: whereabouts(path) }, told, signal);
  const reply = await tried().catch(async refusal => {
    const picture = refusal.kind === "gone" && path && (await kept(path));
    if (!picture) throw refusal;
    await deliver(picture, signal ?? newest.signal);
    return tried();
  });
  return unpacked(reply);
}
/** Ask about an answer. What is refused is said, and undefined returned. @param {string} name @param {any} fields
 * @param {Answer} [of] @param {(progress: Progress) => void} [told] @param {AbortSignal} [signal] */
export async function request(name, fields, of = state.answer, told, signal) {
  try {
    return await insist(name, { ...of.asked, ...fields }, told, signal);
  } catch (error) {
    if (signal?.aborted) return;
    const { kind, source, message } = /** @type {Refusal} */ (error);
    if (kind === "not_loaded") askWith(of.asked, source);
    else if (state.answer === of) complain(message);
  }
}

// What was found out about questions is kept.

const SOON = 200; // milliseconds: the walk passes nine stages in three seconds
/** what is asked → what is known, the newest last @type {Map<string, Finding>} */ const findings = new Map();
const KEPT = 100;
/** what is asked → the timer after which it is asked @type {Record<string, number>} */ const timers = {};

/** What is known of the painted answer. @param {string} name @param {any} fields */
export function finding(name, fields) {
  const key = `${name} ${JSON.stringify({ ...state.answer.asked, ...fields })}`;
  const found = findings.get(key) ?? {};
  findings.delete(key);
  findings.set(key, found);
  if (findings.size > KEPT) findings.delete([...findings.keys()][0]);
  return found;
}
/** Find it out. @param {string} name @param {any} fields @param {() => void} show called when it is asked and when it is known
 * @param {string} text what goes on, where it takes seconds: then `meter` says how far it is, with Cancel */
export async function find(name, fields, show, text = "") {
  const found = finding(name, fields);
  const leaving = new AbortController();
  const tell = (/** @type {Progress} */ told) => meter(found.meter, text, told, () => leaving.abort());
  found.meter = html`<div class="meter" role="status" tabindex="-1"></div>`;
  tell({});
  show();
  const reply = await request(name, fields, state.answer, tell, leaving.signal);
  Object.assign(found, { reply: reply ?? found.reply, failed: !reply, meter: null });
  show();
}
/** Find it out once the visitor stays at a stage or cell. @param {string} name @param {any} fields @param {() => void} show */
export function findSoon(name, fields, show) {
  const found = finding(name, fields);
  const wait = () => {
    if (finding(name, fields) !== found) return; // another answer is painted
    const pending = $(".page").classList.contains("busy"); // the painted answer is not the newest question's
    if (state.playing || pending) timers[name] = setTimeout(wait, 2 * SOON);
    else find(name, fields, show);
  };
  clearTimeout(timers[name]);
  if (!found.reply && !found.failed && !found.meter) timers[name] = setTimeout(wait, SOON);
  return found;
}

/** A question by what differs from a plain one with the method that was chosen last. @param {Partial<Question>} question
 * @param {string | null} weights @returns {Question} */
function whole(question, weights) {
  return { ...PLAIN, method: state.wanted?.method ?? PLAIN.method, ...question, weights };
}
/** Ask for an answer. @param {Partial<Question>} question what differs from a plain question about the main head's own class
 * @param {boolean} back whether it comes from the browser's Back */
export async function ask(question, back = false) {
  const signal = begin(words.working);
  const wanted = whole(question, state.weights.chosen);
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
    if (kind === "not_loaded") askWith(wanted, source, back);
    else fail(message);
  }
}
/** Say why there is no answer yet. @param {Progress} told */
function wait(told) {
  if (told.restarting) notice(words.restarting);
  else if (told.place) working(say("queue", { place: told.place }));
  else if (told.slow || told.lost) working(told.lost || !navigator.onLine ? words.no_connection : words.slow);
}
/** Ask a question whose weights must be loaded first. Where they cannot be had, the page's own answer it.
 * @param {Partial<Question>} question @param {string | null} source @param {boolean} back as for `ask` */
export async function askWith(question, source, back = false) {
  const signal = begin(say("loading", { source: sourceName(source) }));
  const before = state.weights;
  set({ wanted: whole(question, source) });
  signal.onabort = cancelLoad;
  try {
    await load(source);
    confirm();
  } catch {
    if (signal.aborted) return;
    const text = state.load?.error;
    if (!text) return fail(""); // the visitor left it, or chose others
    if (before.chosen) {
      await load(null).catch(() => {});
      confirm(text);
    } else $(".weights").open = true;
    [question, back] = [carried(whole(question, source), before), false];
  } finally {
    signal.onabort = null;
  }
  if (!signal.aborted) ask(question, back);
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
  ask(carried(state.wanted ?? FIRST, before));
}
/** Say with the next answer which weights gave it. @param {string} text what is said before */
function confirm(text = "") {
  const about = { source: sourceName(state.weights.chosen), count: classCount() };
  confirmed = `${text} ${say("now_with", about)}`.trim();
}

/** Paint an answer. @param {any} answer @param {Question} question @param {AbortSignal} [signal] */
export async function show(answer, question, signal) {
  let { photo } = state;
  if (answer.picture) {
    photo = new Image();
    photo.src = answer.picture;
    await photo.decode();
    if (signal?.aborted) return;
  }
  const { head, target, contrast } = answer.result.question;
  const asked = { ...question, head, target: keyOf(target), contrast: contrast && keyOf(contrast) };
  busy("");
  notice(confirmed);
  confirmed = "";
  $(".take-say").textContent = question.original ? words.reduced : "";
  const stage = state.chosen && answer.grids[state.stage] ? state.stage : answer.standing;
  set({ answer: { ...answer, asked, picture: pictureOf(question) }, photo, wanted: asked, stage, touched: null });
}
/** Paint the answer that the page was sent with. */
export async function showFirst() {
  await show(unpacked(props.value.answer), FIRST);
}
/** Back to the last good answer, with the reason. @param {string} text */
export async function fail(text) {
  busy("");
  confirmed = "";
  const { answer, weights } = lastPictures[0] ?? props.value;
  if (weights !== state.weights) set({ weights });
  if (state.answer) set({ answer, wanted: answer.asked, touched: null });
  else if (answer) await showFirst();
  complain(text);
}
/** @param {Question} question */
function pictureOf(question) {
  return question.example ? `example:${question.example}` : (question.path ?? "");
}

on(".stop", "click", () => {
  newest.abort();
  sent.abort();
  cancelLoad();
  fail("");
});
window.addEventListener("offline", () => working(words.no_connection));
