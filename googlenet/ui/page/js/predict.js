// @ts-check
// Predict, then reveal: of each new picture, names and numbers stay hidden until whoever watches has guessed.
import { repaint } from "./answer.js";
import { $, $$ } from "./page.js";
import { stored } from "./storage.js";
import { set, state, subscribe } from "./store.js";

let on = stored("sessionStorage", "predict") === true;
let revealed = ""; // the picture whose answer was seen

function hide() {
  if (state.answer) set({ guessing: on && state.answer.picture !== revealed });
}
for (const control of $$(".predict input")) {
  control.checked = on;
  control.addEventListener("change", () => {
    on = control.checked;
    stored("sessionStorage", "predict", on);
    for (const other of $$(".predict input")) other.checked = on;
    revealed = "";
    hide();
  });
}
$(".reveal").addEventListener("click", () => {
  revealed = state.answer.picture;
  hide();
  $(".headline").focus();
});
subscribe(["answer"], hide);
subscribe(["guessing"], () => {
  $(".page").classList.toggle("guessing", state.guessing);
  $(".guess").hidden = !state.guessing;
  repaint();
});
