// @ts-check
// What every other file uses: the constants, the words, what is painted and what is asked. layout.py joins the files of this
// folder into one script, which runs once with Gradio's `element`, `props`, `trigger`, `upload` and `watch` in scope.

const { heads: HEADS, stages: STAGES, branches: BRANCHES, last_stage: LAST, spotlight: SPOTLIGHT } = props.shared;
const MEGABYTES = 1024 * 1024;
const still = matchMedia("(prefers-reduced-motion: reduce)");
/** The first element of the page that a selector names. @param {string} selector @returns {any} */
const $ = selector => element.querySelector(selector);
/** All of them. @param {string} selector @returns {any[]} */
const $$ = selector => [...element.querySelectorAll(selector)];

/** Read or, with a value, write what the browser keeps; undefined where it keeps nothing or refuses.
 * @param {Storage} area @param {string} key @param {any} [value] @returns {any} */
function store(area, key, value) {
  try {
    if (value === undefined) return JSON.parse(area.getItem(`googlenet.${key}`) ?? "null") ?? undefined;
    area.setItem(`googlenet.${key}`, JSON.stringify(value));
  } catch {
    return undefined;
  }
}

const native = (navigator.language || "en").toLowerCase().startsWith("ko") ? "ko" : "en";
/** @type {"en" | "ko"} */ const language = store(localStorage, "language") || native;
/** @type {Record<string, any>} */ const words = Object.fromEntries(
  Object.entries(props.words[language]).map(([key, text]) => [key, joined(text)]),
);
const magma = bytes(props.magma);
const blues = bytes(props.blues); // for evidence against

/** @type {any} */ let answer = null; // what is painted: an answer of handlers.packed, with its grids unpacked
/** @type {any} */ let weights = null; // handlers.described of the weights that answer
/** the picture, upright @type {any} */ let photo = null;
let asked = 0; // the number of the newest question
/** @type {any} */ let wanted = null; // what it asks
let stage = "4d"; // the stage that is enlarged: at first one whose brightest cell finds the object far better than the centre does

/** message key → what to do with a message that holds it @type {Record<string, (message: any) => void>} */
const receivers = {};

/** @param {string} base64 */
function bytes(base64) {
  return Uint8Array.from(atob(base64), c => c.charCodeAt(0));
}
/** Fill the {names} of a text. @param {string} text @param {Record<string, any>} values */
function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
/** A text of the page in the visitor's language. @param {string} key @param {Record<string, any>} [values] */
function say(key, values) {
  return joined(fill(words[key], values));
}
/** A text in which no Korean ending begins a line: it stays with the percentage or the bracket before it. @param {string} text */
function joined(text) {
  return text.replace(/[%)](?=[가-힣])/g, "$&\u2060");
}
/** A sentence that Python made, its percentages kept in one piece. @param {Record<string, string>} said in each language */
function proseOf(said) {
  return joined(said[language].replaceAll(" %", "\u00a0%"));
}
/** A probability that rounding does not make untrue, as texts.percent. @param {number} p @param {boolean} prose */
function percent(p, prose = false) {
  const [over, under] = prose ? [words.over, words.under] : ["> {}", "< {}"];
  const figure = (/** @type {string} */ text) => `${text}\u00a0%`;
  if (p >= 0.995) return over.replace("{}", figure("99"));
  if (p < 0.001) return under.replace("{}", figure("0.1"));
  return figure((p * 100).toFixed(p >= 0.0995 ? 0 : 1));
}
/** An element with attributes ("on…" are listeners; null leaves one out) and children.
 * @param {string} tag @param {Record<string, any>} attributes @param {...(string | Node)} children @returns {any} */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
/** One tab stop for a row of buttons: arrow keys go from one to the next. @param {any} row @param {any} [first] the one that is reached */
function rove(row, first) {
  const buttons = [...row.querySelectorAll("button:not(:disabled)")];
  const at = buttons.includes(first) ? first : buttons[0];
  for (const button of buttons) button.tabIndex = button === at ? 0 : -1;
  row.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = step && buttons[buttons.indexOf(document.activeElement) + step];
    if (!step) return;
    event.preventDefault();
    if (!next) return;
    rove(row, next);
    next.focus();
  };
}
/** Say what goes on, under the examples. @param {string} text */
function notice(text) {
  $(".notice").textContent = text || words.hint;
  $(".notice").classList.toggle("hint", !text); // there is no dropping on a phone
  $(".mistake").textContent = "";
}
/** Say what went wrong, in the same place. @param {string} text */
function complain(text) {
  notice("");
  $(".notice").textContent = text ? "" : words.hint;
  $(".mistake").textContent = text;
}
/** @param {string} branch */
function branchName(branch) {
  return branch.replace("x", "×");
}
