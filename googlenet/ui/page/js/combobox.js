// The class search: a combobox with a list box, after the ARIA pattern.
import { ask } from "./asking.js";
import { $, html, on } from "./page.js";
import { state, subscribe } from "./store.js";
import { bothNames, keyOf, kinds, nameOf, percent, say, words } from "./words.js";

/** A field that finds a class or, by its exact name, a group.
 * @param {any} root holds a label, an input and a list @param {string | null} none what an empty field means, where it may be empty
 * @param {(chosen: Klass | null) => void} choose @param {() => Klass | null} [barred] what cannot be chosen */
export function combobox(root, none, choose, barred = () => null) {
  const [input, list] = [root.querySelector("input"), root.querySelector("ul")];
  /** @type {Klass | null} */ let current = null;
  /** @type {(Choice | null)[]} */ let choices = [];
  let at = -1;

  /** @param {string} text @returns {(Choice | null)[]} */
  function options(text) {
    const found = text.trim().normalize("NFC").toLowerCase();
    const { labels, groups, everyday } = state.weights;
    const top = state.answer.likeliest.map(p => ({ ...p, note: percent(p.probability) }));
    const known = new Set(top.map(p => p.index));
    const rest = labels.map((label, index) => ({ index, label })).filter(c => !known.has(c.index));
    rest.sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const out = barred();
    const all = [...top, ...rest].filter(
      c => c.index !== out?.index && `${c.label}, ${kinds[c.index]}`.toLowerCase().includes(found),
    );
    if (!found) return none ? [null, ...all] : all;
    /** How well a class fits: what "car" means before what is called so, before what begins so. @param {Klass & {index: number}} c */
    const fit = c => {
      const label = c.label.toLowerCase();
      const whole = [kinds[c.index], label].map(text => +` ${text} `.includes(` ${found} `));
      return whole[0] * 8 + whole[1] * 4 + +[label, nameOf(c)].some(name => name.startsWith(found)) * 2 + +label.includes(found);
    };
    all.sort((a, b) => fit(b) - fit(a));
    const named = groups.filter(
      ({ label, phrase, korean }) =>
        label !== out?.label && ([label, phrase, korean].includes(found) || label === everyday[found]),
    );
    const count = (/** @type {Group} */ { indices }) => say("weights_count", { count: indices.length });
    return [...named.map(group => ({ index: null, label: group.label, note: count(group) })), ...all];
  }
  /** @param {string} text */
  function open(text) {
    choices = options(text);
    const nodes = choices.map(
      (c, i) => html`<li role="option" id="${list.id}-${i}" aria-selected="${same(c, current)}" ${() => take(c)}>
        <span>${c ? bothNames(c) : none}</span><span class="soft">${c?.note}</span></li>`,
    );
    const empty = html`<li class="soft" role="option" aria-disabled="true">${words.no_match}</li>`;
    list.replaceChildren(...(nodes.length ? nodes : [empty]));
    list.classList.toggle("up", innerHeight - input.getBoundingClientRect().bottom < 280);
    show(true);
    move(text.trim() && choices.length ? 0 : -1);
  }
  /** @param {boolean} shown */
  function show(shown) {
    list.hidden = !shown;
    input.setAttribute("aria-expanded", shown);
    move(-1);
  }
  /** @param {number} to */
  function move(to) {
    at = to;
    for (const [i, node] of [...list.children].entries()) node.classList.toggle("at", i === at);
    if (at < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", `${list.id}-${at}`);
    list.children[at].scrollIntoView({ block: "nearest" });
  }
  /** @param {Klass | null} chosen */
  function take(chosen) {
    show(false);
    const changed = !same(chosen, current);
    set(chosen);
    if (changed) choose(chosen);
  }
  /** @param {Klass | null} value */
  function set(value) {
    current = value;
    input.value = value ? nameOf(value) : "";
    input.placeholder = none || "";
  }
  function leave() {
    take(none && !input.value.trim() ? null : current);
  }
  /** @param {KeyboardEvent} event */
  function key(event) {
    const [last, shown] = [choices.length - 1, !list.hidden];
    /** @type {Record<string, number>} */
    const moves = {
      ArrowDown: at < last ? at + 1 : 0,
      ArrowUp: at > 0 ? at - 1 : last,
      ...(shown && { Home: 0, End: last, PageDown: Math.min(last, at + 8), PageUp: Math.max(0, at - 8) }),
    };
    if (event.key in moves) {
      event.preventDefault();
      if (!shown) open("");
      else if (choices.length) move(moves[event.key]);
    } else if (event.key === "Escape" && shown) {
      event.stopPropagation();
      take(current);
    } else if (event.key === "Enter" || event.key === "Tab") {
      if (event.key === "Enter") event.preventDefault();
      if (shown && at >= 0) take(choices[at]);
      else if (event.key === "Enter") leave();
    }
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
/** Whether two choices are the same one; nothing chosen is a choice, too. @param {Klass | null} a @param {Klass | null} b */
function same(a, b) {
  return (a && keyOf(a)) === (b && keyOf(b));
}
const target = combobox($(".combo.target"), null, chosen => ask({ ...state.wanted, target: chosen && keyOf(chosen) }));
const contrast = combobox(
  $(".combo.contrast"),
  words.contrast_none,
  chosen => ask({ ...state.wanted, contrast: chosen && keyOf(chosen) }),
  () => state.answer.result.question.target, // a class is not its own contrast
);
on(".question", "submit", event => event.preventDefault());
subscribe(["answer"], () => {
  const { question } = state.answer.result;
  target.set(question.target);
  contrast.set(question.contrast);
  $(".shared-drops").hidden = !question.contrast;
});
