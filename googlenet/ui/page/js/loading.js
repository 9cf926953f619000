// @ts-check
// Loading weights. One source at a time: the newest that was chosen ends the one before.
import { call } from "./call.js";
import { props } from "./page.js";
import { set, state } from "./store.js";
import { say, words } from "./words.js";

let newest = new AbortController();

/** What a source is called for a visitor: its title, or its name without a long revision. @param {string | null} source */
export function sourceName(source) {
  if (!source) return words.own_weights;
  const known = props.sources.find((/** @type {any} */ each) => each.source === source);
  return known ? say("known_title", known) : source.replace(/@([0-9a-f]{7})[0-9a-f]+/, "@$1");
}
/** Load weights, which then answer; `state.load` tells how far it is, and why it failed.
 * @param {string | null} source null for the page's own @returns {Promise<void>} rejects where they cannot be had or are left */
export async function load(source) {
  newest.abort();
  newest = new AbortController();
  const { signal } = newest;
  set({ load: { source } });
  try {
    const { weights } = await call("weights", { weights: source }, told => set({ load: { source, ...told } }), signal);
    set({ load: null, weights });
  } catch (error) {
    if (!signal.aborted) set({ load: { source, error: /** @type {Error} */ (error).message } });
    throw error;
  }
}
export function cancelLoad() {
  newest.abort();
  set({ load: null });
}
/** A question as other weights can answer it: with the head and the classes that they know.
 * @param {Question} question @param {Weights} before which it was asked of @returns {Question} */
export function carried(question, before) {
  /** @param {number | string | null} asked an index, or a label of the address */
  const index = asked => {
    const label = typeof asked === "number" ? before.labels[asked] : asked;
    const found = label === null ? -1 : state.weights.labels.indexOf(label);
    if (found < 0 && state.weights.groups.some(group => group.label === label)) return label;
    return found >= 0 && found === state.weights.labels.lastIndexOf(/** @type {string} */ (label)) ? found : null;
  };
  const target = index(question.target);
  const contrast = target === null ? null : index(question.contrast);
  return { ...question, head: state.weights.aux ? question.head : "main", target, contrast };
}
