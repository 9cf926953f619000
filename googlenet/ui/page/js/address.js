// @ts-check
// The address: a question about an example is a link, and the browser's Back goes to the question before.

const OWN = ["example", "head", "class", "contrast", "weights"];

/** The link's query, with what else the address held; null for a visitor's own picture. @returns {string | null} */
function query() {
  const { example } = answer.asked;
  if (!example) return null;
  const { head, target, contrast } = answer.result.question;
  const search = others();
  /** A class's label, or its index where two classes share the label. @param {any} c */
  const name = c => (weights.labels.filter((/** @type {string} */ label) => label === c.label).length > 1 ? c.index : c.label);
  search.set("example", example);
  search.set("head", head);
  search.set("class", name(target));
  if (contrast) search.set("contrast", name(contrast));
  if (weights.chosen) search.set("weights", weights.chosen);
  return `?${search}`;
}
function others() {
  const search = new URLSearchParams(location.search);
  for (const name of OWN) search.delete(name);
  return search;
}
/** Put the answer's question into the address. @param {boolean} back whether it came from there */
function address(back) {
  const own = others();
  const search = query() ?? (own.size ? `?${own}` : "");
  const url = location.pathname + search;
  const state = { question: answer.asked };
  const first = asked === 0 || !history.state?.question;
  if (asked === 0 || back) history.replaceState(state, "");
  else if (first || search === location.search) history.replaceState(state, "", url);
  else history.pushState(state, "", url);
}
window.addEventListener("popstate", event => {
  const question = event.state?.question;
  if (!question) return;
  ask(question);
  popping = true;
});
/** The question of the address; null where it holds none. */
function fromAddress() {
  const search = new URLSearchParams(location.search);
  const get = (/** @type {string} */ name) => search.get(name);
  if (!OWN.some(get)) return null;
  const [target, contrast] = [get("class"), get("contrast")];
  const question = { example: get("example") || props.examples[0].name, head: get("head") || "main", target };
  return { ...question, contrast: contrast === target ? null : contrast, weights: get("weights") };
}
/** The link that opens this question for others; null for a visitor's own picture. In a frame it is the outer page's, where
 * this is known: of the same site, or a Space's page on the Hub. */
function link() {
  const search = query();
  if (search === null) return null;
  if (window.top !== window) {
    try {
      const outer = /** @type {Window} */ (window.top).location;
      return outer.origin + outer.pathname + search;
    } catch {
      if (props.space) return props.space + search;
    }
  }
  return location.origin + location.pathname + search;
}
