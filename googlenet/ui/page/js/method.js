// @ts-check
// How the maps are made: Grad-CAM or LayerCAM. The choice holds for what is asked from now on.
import { ask } from "./asking.js";
import { $ } from "./page.js";
import { state, subscribe } from "./store.js";

$(".method").addEventListener("change", () => ask({ ...state.wanted, method: $(".method").value }));
subscribe(["answer"], () => {
  $(".method").value = state.answer.result.question.method;
});
