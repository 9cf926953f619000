// @ts-check
// The first answer.

const initial = props.value,
  opened = fromAddress();
notice("");
watch("value", () => receive(props.value));
showWeights(initial.weights);
if (opened && !opened.source) ask(opened);
else receive({ ...initial, weights: null });
if (opened?.source) {
  linked = opened;
  $(".weights").open = true;
  load(opened.source);
}
