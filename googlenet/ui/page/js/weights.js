// @ts-check
// Loading weights. One source at a time: the newest that was chosen ends the one before.
import { choose } from "./asking.js";
import { call } from "./call.js";
import { $, $$, HEADS, html, props } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { rounded, say, words } from "./words.js";

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

// The panel of weights: what answers now, and what else may be chosen.

function showWeights() {
  const next = state.weights;
  const source = next.dataset || sourceName(next.source);
  const count = say("weights_count", { count: next.labels.length.toLocaleString("en") });
  $(".chip").replaceChildren(html`${source.split(",")[0]}<span>, ${count}</span>`);
  const right = next.top1.main;
  $(".tagline").textContent = `${words.tagline} ${right ? say("tagline_right", { share: Math.round(right * 100) }) : ""}`;
  const shares = HEADS.filter(head => next.top1[head])
    .map(head => `${head}\u00a0${(next.top1[head] * 100).toFixed(1)}\u00a0%`)
    .join(", ");
  /** @type {Record<string, string>} */
  const facts = {
    source: sourceName(next.source),
    revision: next.revision?.slice(0, 12),
    file: next.sha256.slice(0, 12),
    trained_on: next.dataset,
    accuracy: shares,
    licence: next.license,
  };
  if (!facts.revision) delete facts.revision; // a folder has none
  if (next.assumed === "half") facts.normalised = words.assumed_half;
  if (next.assumed === "imagenet") facts.normalised = words.assumed_imagenet;
  $(".facts").replaceChildren(
    ...Object.entries(facts).map(([key, value]) => html`<dt class="soft">${words[key]}</dt><dd>${value || words.unknown}</dd>`),
  );
  $(".offline").hidden = !next.offline;
  const back = next.chosen ? [{ source: null, title: words.built_in, note: "" }] : [];
  const known = props.sources.map((/** @type {any} */ each) => ({
    source: each.source,
    title: sourceName(each.source),
    note: say("known_note", { heads: each.heads.join(", "), top1: `${(each.top1 * 100).toFixed(1)}\u00a0%` }),
  }));
  $(".sources").replaceChildren(
    ...[...back, ...known].map(({ source, title, note }) => {
      return html`<li><button type="button" ${() => choose(source)}><b>${title}</b><span class="soft">${note}</span></button></li>`;
    }),
  );
  $(".others").hidden = !props.sources.length; // a Space with a lent GPU runs its own weights alone
}

/** Offer the network that Berkeley trained, where no class looks likely. @param {any} root */
export function suggest(root) {
  const known = props.sources[0];
  if (!known || state.weights.chosen === known.source) return;
  root.append(
    " ",
    html`<button type="button" class="suggest" ${() => choose(known.source)}>${words.suggest}</button>`,
    html`<span class="load small" role="status" data-source="${known.source}"></span>`,
  );
  showLoad();
}

/** How far a load is, with a way out, or why it failed: in the panel and where its button is. */
function showLoad() {
  for (const root of $$(".load")) {
    const load = [undefined, state.load?.source].includes(root.dataset.source) ? state.load : null;
    if (!load || load.error) {
      root.replaceChildren(load?.error ?? "");
      continue;
    }
    const { source, share = 0, place } = load;
    const loading = say("loading", { source: sourceName(source) });
    if (!root.firstElementChild)
      root.replaceChildren(
        html`<span></span><progress max="1" aria-label="${loading}"></progress>
          <button type="button" class="plain" ${cancelLoad}>${words.cancel}</button>`,
      );
    const [text, bar] = root.children;
    text.textContent = place ? say("queue", { place }) : share ? `${loading}, ${rounded(share)}` : loading;
    bar.value = share;
  }
}
subscribe(["load"], showLoad);
subscribe(["weights"], () => {
  showWeights();
  $(".weights").open = false;
});
$(".repository").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  const source = $("#repository").value.trim();
  if (source) choose(source);
});
