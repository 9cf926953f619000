// Loading weights. One source at a time: the newest that was chosen ends the one before.
import { choose } from "./asking.js";
import { call } from "./call.js";
import { meter } from "./notices.js";
import { $, $$, html, on, props } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { classCount, say, words } from "./words.js";

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
/** A question as the loaded weights can answer it: with the head and the classes that they know.
 * @param {Question} question @param {Weights} before the ones before, whose indices are known @returns {Question} */
export function carried(question, before) {
  if (question.weights === state.weights.chosen) return question;
  const { labels, groups, aux } = state.weights;
  /** @param {number | string | null} asked an index, or a label of the address */
  const known = asked => {
    const label = typeof asked !== "number" ? asked : question.weights === before.chosen ? before.labels[asked] : null;
    const classes = labels.filter(each => each === label).length;
    return classes === 1 || (!classes && groups.some(group => group.label === label)) ? label : null;
  };
  const target = known(question.target);
  return { ...question, head: aux ? question.head : "main", target, contrast: target && known(question.contrast) };
}

// The panel of weights: what answers now, and what else may be chosen.

function showWeights() {
  const next = state.weights;
  const source = next.dataset || sourceName(next.source);
  $(".chip").replaceChildren(html`${source.split(",")[0]}<span>, ${say("weights_count", { count: classCount() })}</span>`);
  const share = (/** @type {number} */ top1) => `${(top1 * 100).toFixed(1)}\u00a0%`;
  const { main } = next.top1;
  const accuracies = Object.entries(next.top1).map(([head, top1]) => `${head}\u00a0${share(top1)}`);
  $(".tagline").textContent = `${words.tagline} ${main ? say("tagline_right", { share: Math.round(main * 100) }) : ""}`;
  const facts = {
    source: sourceName(next.source),
    ...(next.revision && { revision: next.revision.slice(0, 12) }), // a folder has none
    file: next.sha256.slice(0, 12),
    trained_on: next.dataset,
    accuracy: accuracies.join(", "),
    licence: next.license,
    ...(next.assumed && { normalised: next.assumed === "half" ? words.assumed_half : words.assumed_imagenet }),
  };
  $(".facts").replaceChildren(
    ...Object.entries(facts).map(([key, value]) => html`<dt class="soft">${words[key]}</dt><dd>${value || words.unknown}</dd>`),
  );
  $(".offline").hidden = !next.offline;
  const choice = (/** @type {string | null} */ source, /** @type {string} */ title, note = "") =>
    html`<li><button type="button" ${() => choose(source)}><b>${title}</b><span class="soft">${note}</span></button></li>`;
  const known = props.sources.map((/** @type {any} */ { source, heads, top1 }) =>
    choice(source, sourceName(source), say("known_note", { heads: heads.join(", "), top1: share(top1) })),
  );
  $(".sources").replaceChildren(...(next.chosen ? [choice(null, words.built_in)] : []), ...known);
}

/** Offer the network that Berkeley trained, where no class looks likely. @param {any} root */
export function suggest(root) {
  const { source } = props.sources[0];
  if (state.weights.chosen === source) return;
  root.append(
    html` <button type="button" class="suggest" ${() => choose(source)}>${words.suggest}</button>
      <span class="load small" role="status" data-source="${source}"></span>`,
  );
  showLoad();
}

/** How far a load is, or why it failed: in the panel and where its button is. */
function showLoad() {
  $(".languages").disabled = !!state.load && !state.load.error; // it loads the page again
  for (const root of $$(".load")) {
    const load = [undefined, state.load?.source].includes(root.dataset.source) ? state.load : null;
    if (load && !load.error) meter(root, say("loading", { source: sourceName(load.source) }), load, cancelLoad);
    else root.replaceChildren(load?.error ?? "");
  }
}
subscribe(["load"], showLoad);
subscribe(["weights"], () => {
  showWeights();
  $(".weights").open = false;
});
on(".repository", "submit", event => {
  event.preventDefault();
  const source = $("#repository").value.trim();
  if (source) choose(source);
});
