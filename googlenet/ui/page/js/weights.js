// @ts-check
// Choosing weights. Python loads one source at a time; the newest that was chosen meanwhile comes next.

let loads = 0; // the number of the newest load
let loading = false;
let again = 0; // the timer that repeats a load until Python has said something of it
/** @type {{source: string | null} | null} */ let nextSource = null;
/** @type {any} */ let linked = null; // a question of the address that waits for its weights

/** What a source is called for a visitor: its title, or its name without a long revision. @param {string | null} source */
function sourceName(source) {
  if (!source) return words.own_weights;
  const known = props.sources.find((/** @type {any} */ each) => each.source === source);
  return known ? say("known_title", known) : source.replace(/@([0-9a-f]{7})[0-9a-f]+/, "@$1");
}

/** @param {string | null} source */
function load(source) {
  nextSource = { source };
  if (!loading) loadNext();
  $(".weights-say").textContent = say("loading", { source: sourceName(source) });
}
/** Load weights that a question needs, and ask it then. @param {any} question @param {string} source */
function loadFor(question, source) {
  linked = { ...question, weights: source };
  wanted = linked;
  busy(say("loading", { source: sourceName(source) }));
  load(source);
}
function loadNext() {
  if (!nextSource) return;
  const { source } = nextSource;
  nextSource = null;
  loading = true;
  progress({ share: 0, what: "" }, source);
  const question = { weights: source, n: ++loads };
  clearInterval(again);
  again = setInterval(() => trigger("submit", question), 1000); // Gradio drops it while the load before is being closed
  trigger("submit", question);
}
/** @returns {boolean} whether a message is of the newest load and nothing else was chosen since @param {any} message */
function loaded(message) {
  if (message.n !== loads) return false;
  clearInterval(again);
  loading = false;
  progress(null);
  if (!nextSource) return true;
  loadNext();
  return false;
}
receivers.progress = message => {
  if (message.n !== loads) return;
  clearInterval(again);
  progress(message.progress);
};
receivers.weights_error = message => {
  if (!loaded(message)) return;
  const text = message.weights_error[language];
  $(".weights-say").textContent = text;
  if (!linked) return;
  const { weights: _, ...question } = linked; // answered by the page's own weights instead
  linked = null;
  if (weights.chosen) {
    wanted = question;
    confirmed = text;
    return load(null);
  }
  ask(question);
  $(".weights").open = true;
};
receivers.weights = message => {
  if (!loaded(message)) return;
  const before = weights;
  showWeights(message.weights);
  $(".weights").open = false;
  ask(linked || carried(before));
  linked = null;
  const count = weights.labels.length.toLocaleString(language);
  confirmed = `${confirmed} ${say("now_with", { source: sourceName(weights.chosen), count })}`.trim();
};
let confirmed = ""; // what is said when the first answer of new weights is there

/** The same question for other weights, as far as they know its head and classes. @param {any} before */
function carried(before) {
  /** @param {number | string | null} asked an index, or a label of the address */
  const index = asked => {
    const label = typeof asked === "number" ? before.labels[asked] : asked;
    const found = weights.labels.indexOf(label);
    return found >= 0 && found === weights.labels.lastIndexOf(label) ? found : null;
  };
  const target = index(wanted.target);
  return {
    ...wanted,
    head: weights.aux ? wanted.head : "main",
    target,
    contrast: target === null ? null : index(wanted.contrast),
  };
}

/** @param {any} next */
function showWeights(next) {
  weights = next;
  const source = next.dataset || sourceName(next.source);
  const count = say("weights_count", { count: next.labels.length.toLocaleString(language) });
  $(".chip").replaceChildren(source.split(",")[0], make("span", {}, `, ${count}`));
  const shares = HEADS.filter((/** @type {string} */ head) => next.top1[head])
    .map((/** @type {string} */ head) => `${head}\u00a0${(next.top1[head] * 100).toFixed(1)}\u00a0%`)
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
  $(".weights-say").textContent = next.offline ? words.offline : "";
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
        { type: "button", onclick: () => load(source) },
        make("b", {}, title),
        make("span", { class: "soft" }, note),
      );
      return make("li", {}, button);
    }),
  );
  $(".others").hidden = !props.sources.length; // a Space with a lent GPU runs its own weights alone
}

/** Offer the network that Berkeley trained, where no class looks likely. @param {any} root */
function suggest(root) {
  const known = props.sources[0];
  if (!known || weights.chosen === known.source) return;
  root.append(" ", make("button", { type: "button", class: "suggest", onclick: () => load(known.source) }, words.suggest));
}

/** @param {{share: number, what: string} | null} state @param {string | null} [source] */
function progress(state, source) {
  const bar = $(".weights progress");
  bar.hidden = !state;
  if (!state) return;
  bar.value = state.share;
  if (source !== undefined) bar.dataset.source = sourceName(source);
  const text = say("loading", { source: bar.dataset.source });
  $(".weights-say").textContent = state.share ? `${text}, ${Math.round(state.share * 100)}\u00a0%` : text;
  bar.setAttribute("aria-label", text);
}
$(".repository").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  const source = $("#repository").value.trim();
  if (source) load(source);
});
document.addEventListener("keydown", event => {
  if (event.key !== "Escape" || !$(".weights").open) return;
  $(".weights").open = false;
  $(".weights summary").focus();
});
document.addEventListener("pointerdown", event => {
  if (!$(".weights").contains(/** @type {Node} */ (event.target))) $(".weights").open = false;
});
