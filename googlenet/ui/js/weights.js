// @ts-check
// Choosing weights.

/** @type {any} */ let linked = null; // a question of the address that waits for its weights
receivers.progress = message => progress(message.progress);
receivers.weights_error = message => {
  progress(null);
  $(".weights-say").textContent = message.weights_error[language];
  linked = null;
};
receivers.weights = message => {
  showWeights(message.weights);
  progress(null);
  ask(linked || { example: wanted.example, path: wanted.path });
  linked = null;
};

function showWeights(next) {
  weights = next;
  $(".chip").textContent = say("weights_chip", {
    source: (next.dataset || next.source).split(",")[0],
    count: next.labels.length,
  });
  const shares = HEADS.filter(head => next.top1[head])
    .map(head => `${head} ${(next.top1[head] * 100).toFixed(1)}\u00a0%`)
    .join(", ");
  const facts = {
    source: next.source,
    revision: next.revision?.slice(0, 12),
    file: next.sha256.slice(0, 12),
    trained_on: next.dataset,
    accuracy: shares,
    licence: next.license,
  };
  if (!facts.revision) delete facts.revision; // a folder has none
  $(".facts").replaceChildren(
    ...Object.entries(facts).flatMap(([key, value]) => [
      make("dt", { class: "soft" }, words[key]),
      make("dd", {}, value || words.unknown),
    ]),
  );
  $(".weights-say").textContent = next.offline ? words.offline : "";
  $(".sources").replaceChildren(
    ...[...(next.chosen ? [{ source: null, title: words.built_in, note: "" }] : []), ...props.sources].map(each =>
      make(
        "li",
        {},
        make(
          "button",
          { type: "button", onclick: () => load(each.source) },
          make("b", {}, each.title),
          make("span", { class: "soft" }, each.note),
        ),
      ),
    ),
  );
}
function load(source) {
  $(".weights-say").textContent = "";
  progress({ share: 0, what: "" }, source);
  trigger("submit", { weights: source, n: asked });
}
function progress(state, source) {
  const bar = $(".weights progress");
  bar.hidden = !state;
  if (!state) return;
  bar.value = state.share;
  bar.setAttribute("aria-label", ($(".weights-say").textContent = state.what || say("loading", { source: source || "" })));
}
$(".repository").addEventListener("submit", event => {
  event.preventDefault();
  const source = $("#repository").value.trim();
  if (source) load(source);
});
