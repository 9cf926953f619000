// @ts-check
// The address: a question about an example is a link.

function link() {
  if (!wanted.example) return null;
  const { head, target, contrast } = answer.result.question,
    query = new URLSearchParams({ example: wanted.example, head });
  const name = klass => (weights.labels.filter(label => label === klass.label).length > 1 ? klass.index : klass.label);
  query.set("class", name(target));
  if (contrast) query.set("contrast", name(contrast));
  if (weights.chosen) query.set("weights", weights.chosen);
  return location.pathname + "?" + query;
}
function address() {
  if (asked === 0) return;
  history.replaceState(null, "", link() || location.pathname);
}
function fromAddress() {
  const query = new URLSearchParams(location.search),
    get = name => query.get(name);
  if (!get("example") && !get("head") && !get("class") && !get("contrast")) return null;
  return {
    example: get("example") || props.examples[0].name,
    head: get("head") || "main",
    target: get("class"),
    contrast: get("contrast"),
    source: get("weights"),
  };
}
