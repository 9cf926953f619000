// @ts-check
// What classes and groups are called in the visitor's language, and by which words the search finds them.
import { make } from "./page.js";
import { state } from "./store.js";
import { language } from "./words.js";

/** What a class or a group is called; a group with its article. @param {Klass} asked @param {Weights} weights */
export function nameOf({ index, label }, weights = state.weights) {
  const group = index === null && weights.groups.find(each => each.label === label);
  if (group) return language === "ko" ? group.korean : group.phrase;
  return (language === "ko" && index !== null && weights.korean[index]) || label;
}
/** The same and, where it is not the label, the label in brackets. @param {Klass} asked @returns {(string | Node)[]} */
export function bothNames(asked) {
  const name = nameOf(asked);
  if (language !== "ko" || name === asked.label || asked.index === null) return [name];
  return [name, make("span", { class: "soft" }, `(${asked.label})`)];
}
/** What a question calls a class or group: a class's index, a group's name. @param {Klass} asked */
export function keyOf({ index, label }) {
  return index ?? label;
}

/** weights → class → its kinds @type {WeakMap<Weights, string[]>} */ const kinds = new WeakMap();
/** A class's Korean name and its groups, by which the search finds it, too: "dog" and "개" find "beagle". @param {number} index */
export function kindsOf(index) {
  const { weights } = state;
  let all = kinds.get(weights);
  if (!all) {
    const lists = weights.korean.map(name => [name]);
    for (const { label, korean, indices } of weights.groups) for (const i of indices) lists[i].push(label, korean);
    all = lists.map(each => each.join(" , ").toLowerCase());
    kinds.set(weights, all);
  }
  return all[index];
}
