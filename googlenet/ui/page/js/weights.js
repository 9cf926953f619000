// @ts-check
// The panel of weights: what answers now, and what else may be chosen.
import { choose } from "./asking.js";
import { cancelLoad, sourceName } from "./loading.js";
import { $, $$, HEADS, make, props } from "./page.js";
import { state, subscribe } from "./store.js";
import { rounded, say, words } from "./words.js";

function showWeights() {
  const next = state.weights;
  const source = next.dataset || sourceName(next.source);
  const count = say("weights_count", { count: next.labels.length.toLocaleString("en") });
  $(".chip").replaceChildren(source.split(",")[0], make("span", {}, `, ${count}`));
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
    ...Object.entries(facts).flatMap(([key, value]) => [
      make("dt", { class: "soft" }, words[key]),
      make("dd", {}, value || words.unknown),
    ]),
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
      const button = make(
        "button",
        { type: "button", onclick: () => choose(source) },
        make("b", {}, title),
        make("span", { class: "soft" }, note),
      );
      return make("li", {}, button);
    }),
  );
  $(".others").hidden = !props.sources.length; // a Space with a lent GPU runs its own weights alone
}

/** Offer the network that Berkeley trained, where no class looks likely. @param {any} root */
export function suggest(root) {
  const known = props.sources[0];
  if (!known || state.weights.chosen === known.source) return;
  const button = make("button", { type: "button", class: "suggest", onclick: () => choose(known.source) }, words.suggest);
  root.append(" ", button, make("span", { class: "load small", role: "status", "data-source": known.source }));
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
        make("span"),
        make("progress", { max: 1, "aria-label": loading }),
        make("button", { type: "button", class: "plain", onclick: cancelLoad }, words.cancel),
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
