// What every module uses: the page's elements and their order, how new ones are written, and the names that Python gives.
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
/** Do something on events of an element. @param {string} selector @param {string} types @param {(event: any) => void} act */
export function on(selector, types, act) {
  for (const type of types.split(" ")) $(selector).addEventListener(type, act);
}
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
/** Paint what is drawn to the size of its place: it has a function `paint`. @param {any} root */
export function paintIn(root) {
  for (const node of root.querySelectorAll("canvas, .slope")) if (node.paint && node.checkVisibility()) node.paint(node);
}
/** Show other nodes; the focus stays, or goes to its like. @param {any} root @param {...(Node | string)} nodes */
export function put(root, ...nodes) {
  const focused = /** @type {any} */ (root.contains(document.activeElement) && document.activeElement);
  const at = [...root.querySelectorAll("button")].indexOf(focused);
  root.replaceChildren(...nodes);
  paintIn(root);
  if (!focused || focused === root) return;
  const buttons = [...root.querySelectorAll("button")];
  const next = buttons.find(each => each.textContent === focused.textContent) ?? buttons[at] ?? root.querySelector("[tabindex]");
  next?.focus({ preventScroll: true });
}
/** One tab stop for a row of buttons; keys go through it, and press if it `follows`. @param {any} row @param {boolean} follows */
export function rove(row, follows = false) {
  const buttons = [...row.querySelectorAll("button:not(:disabled)")];
  const chosen = [document.activeElement, row.querySelector(":is([aria-pressed=true], [aria-selected=true])"), buttons[0]];
  const stop = chosen.find(each => buttons.includes(each));
  for (const button of row.querySelectorAll("button")) button.tabIndex = button === stop ? 0 : -1;
  row.onkeydown = (/** @type {any} */ event) => {
    if (step(row, event.target, event.key, follows)) event.preventDefault();
  };
}
/** Go from a button of a row to another by a key. @param {any} row @param {any} from @param {string} key @param {boolean} follows
 * @returns {boolean} whether the key goes somewhere */
export function step(row, from, key, follows) {
  const buttons = [...row.querySelectorAll("button:not(:disabled)")];
  const [at, last] = [buttons.indexOf(from), buttons.length - 1];
  const [before, after] = [Math.max(0, at - 1), Math.min(last, at + 1)];
  const to = { ArrowRight: after, ArrowDown: after, ArrowLeft: before, ArrowUp: before, Home: 0, End: last }[key];
  const next = to === undefined ? null : buttons[to];
  next?.focus({ preventScroll: follows });
  if (follows) next?.click();
  else rove(row);
  return !!next;
}

// The order of reading. It differs between wide screens, narrow ones and phones, and the Tab key goes through the document's order.

/** what a narrow screen shows, from the top: on a tablet, and on a phone */
const TABLET = ["bring", "question", "strip", "hero", "cards", "guess", "say", "verdict", "slope", "about", "take", "teach"];
const PHONE = ["bring", "strip", "hero", "guess", "say", "verdict", "question", "cards", "slope", "about", "take", "teach"];
/** on a wide one: what stands in which part */
const WIDE = {
  stay: ["bring", "question", "take"],
  side: ["guess", "say", "verdict", "slope"],
  close: ["hero", "side"],
  right: ["strip", "cards", "close", "about"],
  page: ["left", "right", "teach"],
};
const [narrow, phone] = ["(max-width: 1000px)", "(max-width: 600px)"].map(width => matchMedia(width));

function arrange() {
  const focused = /** @type {any} */ (document.activeElement);
  const parts = narrow.matches ? { page: phone.matches ? PHONE : TABLET } : WIDE;
  for (const [part, names] of Object.entries(parts)) $(`.${part}`).append(...names.map(name => $(`.${name}`)));
  if (focused !== document.activeElement) focused.focus({ preventScroll: true });
}
for (const width of [narrow, phone]) width.addEventListener("change", arrange);
arrange();
