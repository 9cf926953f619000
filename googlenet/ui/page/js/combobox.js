// @ts-check
// The class search: a combobox with a list box, after the ARIA pattern.
import { ask } from "./asking.js";
import { $, make } from "./page.js";
import { state, subscribe } from "./store.js";
import { percent, words } from "./words.js";

/** @typedef {{index: number | null, label: string, note?: string}} Choice */

/** @param {any} root @param {string | null} none what an empty field means, where it may be empty
 * @param {(index: number | null) => void} choose */
function combobox(root, none, choose) {
  const input = root.querySelector("input");
  const list = root.querySelector("ul");
  /** @type {any} */ let current = null;
  let at = -1;
  /** @type {Choice[]} */ let choices = [];

  /** A class's name, and its other words where it has some. @param {number} index */
  const searched = index => `${state.weights.labels[index]} ${state.weights.words?.[index] ?? ""}`.toLowerCase();

  /** @param {string} text @returns {Choice[]} */
  function options(text) {
    const found = text.trim().toLowerCase();
    const { heads, question } = state.answer.result;
    const top = (heads[question.head] ?? heads.main ?? []).map(p => ({ ...p, note: percent(p.probability) }));
    const known = new Set(top.map(p => p.index));
    const rest = state.weights.labels
      .map((label, index) => ({ index, label }))
      .filter(c => !known.has(c.index))
      .sort((a, b) => a.label.localeCompare(b.label));
    const barred = none ? question.target.index : null; // a class is not its own contrast
    const all = [...top, ...rest].filter(c => c.index !== barred && searched(c.index).includes(found));
    /** How well a class fits: what "car" means before what is called so, before what begins so. @param {Choice} c */
    const fit = c => {
      const [label, kinds] = [c.label.toLowerCase(), (state.weights.words?.[c.index ?? -1] ?? "").toLowerCase()];
      const whole = [kinds, label].map(text => +` ${text} `.includes(` ${found} `));
      return whole[0] * 8 + whole[1] * 4 + +label.startsWith(found) * 2 + +label.includes(found);
    };
    if (found) all.sort((a, b) => fit(b) - fit(a));
    return none && !found ? [{ index: null, label: none }, ...all] : all;
  }
  /** @param {string} text */
  function open(text) {
    choices = options(text);
    const nodes = choices.map((c, i) =>
      make(
        "li",
        {
          role: "option",
          id: `${list.id}-${i}`,
          "aria-selected": c.index === (current ? current.index : null),
          onclick: () => pick(i),
        },
        make("span", {}, c.label),
        make("span", { class: "soft" }, c.note || ""),
      ),
    );
    const empty = make("li", { class: "soft", role: "option", "aria-disabled": true }, words.no_match);
    list.replaceChildren(...(nodes.length ? nodes : [empty]));
    list.classList.toggle("up", innerHeight - input.getBoundingClientRect().bottom < 280);
    list.hidden = false;
    input.setAttribute("aria-expanded", true);
    move(text.trim() && choices.length ? 0 : -1);
  }
  function shut() {
    list.hidden = true;
    input.setAttribute("aria-expanded", false);
    input.removeAttribute("aria-activedescendant");
  }
  /** @param {number} to */
  function move(to) {
    at = to;
    for (const [i, node] of [...list.children].entries()) node.classList.toggle("at", i === at);
    if (at >= 0) {
      input.setAttribute("aria-activedescendant", `${list.id}-${at}`);
      list.children[at].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }
  /** @param {number} i */
  function pick(i) {
    const chosen = choices[i];
    shut();
    const changed = (current ? current.index : null) !== chosen.index;
    set(chosen.index === null ? null : chosen);
    if (changed) choose(chosen.index);
  }
  /** @param {any} value */
  function set(value) {
    current = value;
    input.value = value ? value.label : "";
    input.placeholder = none || "";
  }
  function leave() {
    const emptied = none && current && !input.value.trim();
    shut();
    set(emptied ? null : current);
    if (emptied) choose(null);
  }
  /** @param {KeyboardEvent} event */
  function key(event) {
    const last = choices.length - 1;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) return open("");
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (choices.length) move((at + step + choices.length) % choices.length);
      return;
    }
    if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      shut();
      set(current);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!list.hidden && at >= 0) pick(at);
      else leave();
    } else if (event.key === "Tab" && !list.hidden && at >= 0) pick(at);
    const page = { Home: 0, End: last, PageDown: Math.min(last, at + 8), PageUp: Math.max(0, at - 8) }[event.key];
    if (page === undefined || list.hidden || !choices.length) return;
    event.preventDefault();
    move(page);
  }
  list.addEventListener("mousedown", (/** @type {Event} */ event) => event.preventDefault()); // its scrollbar keeps the list open
  list.tabIndex = -1;
  input.addEventListener("focus", () => state.answer && input.select());
  input.addEventListener("click", () => state.answer && list.hidden && open(""));
  input.addEventListener("input", () => state.answer && open(input.value));
  input.addEventListener("blur", leave);
  input.addEventListener("keydown", key);
  return { set };
}
const target = combobox($(".combo.target"), null, index =>
  ask({ ...state.wanted, target: index, contrast: state.wanted.contrast === index ? null : state.wanted.contrast }),
);
const contrast = combobox($(".combo.contrast"), words.contrast_none, index => ask({ ...state.wanted, contrast: index }));
$(".question").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
subscribe(["answer"], () => {
  const { question } = state.answer.result;
  target.set(question.target);
  contrast.set(question.contrast);
});
