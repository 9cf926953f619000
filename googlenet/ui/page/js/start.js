// @ts-check
// The first answer.

const initial = props.value;
const other = language === "ko" ? "en" : "ko";
$(".languages").textContent = other === "ko" ? "한국어" : "English";
$(".languages").lang = other;
$(".languages").addEventListener("click", () => {
  store(localStorage, "language", other);
  remember();
  location.reload();
});

notice("");
showWeights(initial.weights);
watch("value", () => receive(props.value));
start(remembered() || fromAddress());

/** @param {any} opened the question that the page opens with, or null for the first example */
function start(opened) {
  if (!opened) {
    receive({ ...initial, weights: null });
    if (initial.answer) setTimeout(playOnce, 300);
  } else if (opened.weights) loadFor(opened, opened.weights);
  else ask(opened);
}
