// @ts-check
// What every module uses: the page's elements, how new ones are written, and the names that Python gives.
import { given } from "./start.js";

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
/** Put texts and nodes into the gaps of a markup. @param {any} root @param {TemplateStringsArray} parts @param {any[]} values */
function filled(root, parts, values) {
  /** @type {any[]} */ const slots = [];
  const gap = (/** @type {any} */ value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "function") return `data-press="${slots.push(value) - 1}"`;
    if (typeof value === "object") return `<!--${slots.push([value].flat()) - 1}-->`;
    return String(value).replace(/[&<>"]/g, letter => `&#${letter.charCodeAt(0)};`);
  };
  root.innerHTML = String.raw({ raw: parts }, ...values.map(gap)).trim();
  const content = root.content ?? root;
  for (const node of content.querySelectorAll("[data-press]")) {
    node.addEventListener("click", slots[node.dataset.press]);
    node.removeAttribute("data-press");
  }
  const comments = document.createNodeIterator(content, NodeFilter.SHOW_COMMENT);
  for (let node = comments.nextNode(); node; node = comments.nextNode())
    /** @type {Comment} */ (node).replaceWith(...slots[+(/** @type {Comment} */ (node).data)]);
  const all = new DocumentFragment();
  all.append(...content.childNodes);
  return all.childNodes.length === 1 ? all.firstChild : all;
}
/** HTML as an element, or several in a fragment. What fills a gap is a text, a node, a list of both, or, in a tag, what its click
 * does; null leaves nothing. @param {TemplateStringsArray} parts @param {...any} values @returns {any} */
export function html(parts, ...values) {
  return filled(document.createElement("template"), parts, values);
}
/** The same inside a drawing. @param {TemplateStringsArray} parts @param {...any} values @returns {any} */
export function svg(parts, ...values) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", "svg"), parts, values);
}
/** @param {number} width @param {number} height */
export function newCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
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
