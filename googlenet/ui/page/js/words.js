// The page's texts in the visitor's language, and the "?" marks beside the terms that need a sentence.
import { stored } from "./memory.js";
import { $, $$, element, html, props } from "./page.js";
import { state, subscribe } from "./store.js";

/** The address names a language where the browser keeps none. @type {"en" | "ko"} */
export const language =
  [new URLSearchParams(location.search).get("language"), stored("localStorage", "language")].find(each => props.words[each]) ??
  ((navigator.language || "en").toLowerCase().startsWith("ko") ? "ko" : "en");
/** @type {Record<string, string>} */
export const words = Object.fromEntries(Object.entries(props.words[language]).map(([key, text]) => [key, joined(text)]));

for (const node of $$("[data-w]")) node.textContent = words[node.dataset.w];
for (const node of $$("[data-label]")) node.setAttribute("aria-label", words[node.dataset.label]);
element.closest(".gradio-container")?.setAttribute("lang", language);
document.documentElement.lang = language;

/** A text of the page in the visitor's language. @param {string} key @param {Record<string, any>} values for its {names} */
export function say(key, values) {
  return joined(words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? ""));
}
/** A text in which no Korean ending begins a line: it stays with the percentage or the bracket before it. @param {string} text */
function joined(text) {
  return text.replace(/[%)](?=[가-힣])/g, "$&\u2060");
}
/** A sentence, its percentages kept in one piece. @param {string} sentence */
export function prose(sentence) {
  return joined(sentence.replaceAll(" %", "\u00a0%"));
}
/** A sentence that Python made. @param {Record<string, string | null>} sentence in each language */
export function proseOf(sentence) {
  return prose(sentence[language] ?? "");
}
const PER_CENT = language === "ko" ? "%" : "\u00a0%";
/** A probability that rounding does not make untrue, as texts.percent. @param {number} p @param {boolean} prose */
export function percent(p, prose = false) {
  const [over, under] = prose ? [words.over, words.under] : ["> {}", "< {}"];
  const figure = (/** @type {string} */ text) => text + PER_CENT;
  if (p >= 0.995) return over.replace("{}", figure("99"));
  if (p < 0.001) return under.replace("{}", figure("0.1"));
  return figure((p * 100).toFixed(p >= 0.0995 ? 0 : 1));
}
/** A share that is no probability, rounded to whole per cents. @param {number} share */
export function rounded(share) {
  return Math.round(share * 100) + PER_CENT;
}
/** How many classes the weights know. */
export function classCount() {
  return state.weights.labels.length.toLocaleString("en");
}
/** @param {string} branch */
export function branchName(branch) {
  return branch === "pool" ? words.branch_pool : branch.replace("x", "×");
}
/** That the branch named 5×5 has other filters, where it has: in torchvision's network. */
export const thirdText = () => (state.weights.third === 5 ? "" : words.third);

// What classes and groups are called in the visitor's language, and by which words the search finds them.

/** What a class or a group is called; a group with its article. @param {Klass} asked */
export function nameOf({ index, label }) {
  const { groups, korean } = state.weights;
  const group = index === null && groups.find(each => each.label === label);
  if (group) return language === "ko" ? group.korean : group.phrase;
  return (language === "ko" && index !== null && korean[index]) || label;
}
/** The same and, where it is not the label, the label in brackets. @param {Klass} asked @returns {(string | Node)[]} */
export function bothNames(asked) {
  const name = nameOf(asked);
  if (language !== "ko" || name === asked.label || asked.index === null) return [name];
  return [name, html`<span class="soft">(${asked.label})</span>`];
}
/** What a question calls a class or group: a class's index, a group's name. @param {Klass} asked */
export function keyOf({ index, label }) {
  return index ?? label;
}

/** class → its Korean name, groups and everyday words: "dog", "puppy" and "개" find "beagle", too @type {string[]} */
export let kinds = [];
subscribe(["weights"], () => {
  const lists = state.weights.korean.map(name => [name]);
  const { labels, groups, everyday } = state.weights;
  for (const { label, korean, indices } of groups) for (const i of indices) lists[i].push(label, korean);
  for (const [word, name] of Object.entries(everyday))
    for (const i of groups.find(group => group.label === name)?.indices ?? [labels.indexOf(name)]) lists[i]?.push(word);
  kinds = lists.map(each => each.join(" , ").toLowerCase());
});

// Small "?" marks beside the terms that need a sentence.

/** A mark and what it opens. @param {string} term the name of a text: `help_TERM` */
export function helpMark(term) {
  const [, name, text] = /** @type {any} */ (words[`help_${term}`].match(/^(.+?): (.+)$/));
  const id = `help-${term}`;
  const label = say("what_is", { term: name });
  const marked = html`<span class="helped"><button type="button" class="help" popovertarget="${id}" aria-label="${label}">?</button>
    <span class="help-text" id="${id}" popover="auto" role="note"><b>${name}</b> ${text}</span></span>`;
  marked.firstElementChild.addEventListener("blur", () => marked.lastElementChild.hidePopover());
  return marked;
}
for (const place of $$("[data-help]")) place.replaceWith(helpMark(place.dataset.help));

// The menus: Escape and a press elsewhere close them.

document.addEventListener("keydown", ({ key }) => {
  const menu = key === "Escape" && !$(":popover-open") && $(".menu[open]"); // the nearest one closes
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("pointerdown", ({ target }) => {
  for (const menu of $$(".menu[open]")) if (!menu.contains(target)) menu.open = false;
});
