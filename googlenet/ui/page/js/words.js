// @ts-check
// The page's texts in the visitor's language.
import { $$, element, props } from "./page.js";
import { stored } from "./storage.js";

/** The address names a language where the browser keeps none. @type {"en" | "ko"} */
export const language =
  [new URLSearchParams(location.search).get("language"), stored("localStorage", "language")].find(each => props.words[each]) ??
  ((navigator.language || "en").toLowerCase().startsWith("ko") ? "ko" : "en");
/** @type {Record<string, string>} */
export const words = Object.fromEntries(Object.entries(props.words[language]).map(([key, text]) => [key, joined(text)]));

for (const node of $$("[data-w]")) node.textContent = words[node.dataset.w];
element.closest(".gradio-container")?.setAttribute("lang", language);
document.documentElement.lang = language;

/** Fill the {names} of a text. @param {string} text @param {Record<string, any>} values */
function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
/** A text of the page in the visitor's language. @param {string} key @param {Record<string, any>} [values] */
export function say(key, values) {
  return joined(fill(words[key], values));
}
/** A text in which no Korean ending begins a line: it stays with the percentage or the bracket before it. @param {string} text */
function joined(text) {
  return text.replace(/[%)](?=[가-힣])/g, "$&\u2060");
}
/** A sentence, its percentages kept in one piece. @param {string} sentence */
export function prose(sentence) {
  return joined(sentence.replaceAll(" %", "\u00a0%"));
}
/** A sentence that Python made. @param {Record<string, string>} sentence in each language */
export function proseOf(sentence) {
  return prose(sentence[language]);
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
/** @param {string} branch */
export function branchName(branch) {
  return branch.replace("x", "×");
}
