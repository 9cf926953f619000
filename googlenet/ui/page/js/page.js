// @ts-check
// What every module uses: the page's elements, how new ones are made, and the names that Python gives.
import { given } from "./gradio.js";

export const { element, props, server } = await given;
/** @type {{heads: string[], stages: string[], branches: string[], last_stage: Record<string, string>, spotlight: any}} */
const shared = props.shared;
export const { heads: HEADS, stages: STAGES, branches: BRANCHES, last_stage: LAST, spotlight: SPOTLIGHT } = shared;
export const still = matchMedia("(prefers-reduced-motion: reduce)");

/** The first element of the page that a selector names. @param {string} selector @returns {any} */
export const $ = selector => element.querySelector(selector);
/** All of them. @param {string} selector @returns {any[]} */
export const $$ = selector => [...element.querySelectorAll(selector)];

/** @param {string} base64 */
export function bytes(base64) {
  return Uint8Array.from(atob(base64), c => c.charCodeAt(0));
}
/** @param {number} milliseconds @returns {Promise<void>} */
export function pause(milliseconds) {
  return new Promise(done => setTimeout(done, milliseconds));
}
/** An element with attributes ("on…" are listeners; null leaves one out) and children.
 * @param {string} tag @param {Record<string, any>} attributes @param {...(string | Node)} children @returns {any} */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
/** An element of an SVG drawing. @returns {any} @param {string} tag @param {Record<string, any>} attributes @param {string} [text] */
export function draw(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}
/** One tab stop for a row of buttons: arrow keys go from one to the next. @param {any} row @param {any} [first] the one that is reached */
export function rove(row, first) {
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
