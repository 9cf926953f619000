// Presenting: the full screen, large type, without what nobody reads from the back row. Keys walk and play from anywhere.
import { repaint } from "./answer.js";
import { stored } from "./memory.js";
import { $, $$, on, step } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { playOrStop } from "./walk.js";
import { words } from "./words.js";

/** @param {boolean} large */
function presenting(large) {
  $(".page").classList.toggle("presenting", large);
  $(".present").setAttribute("aria-pressed", large);
  $(".present").textContent = large ? words.present_leave : words.present;
  repaint();
}
on(".present", "click", () => {
  const large = !$(".presenting");
  if (large)
    document.documentElement.requestFullscreen?.().catch(() => {}); // a frame may forbid it; the view is large all the same
  else if (document.fullscreenElement) document.exitFullscreen();
  presenting(large);
});
document.addEventListener("fullscreenchange", () => {
  if (!document.fullscreenElement) presenting(false);
});
document.addEventListener("keydown", event => {
  const { key, target } = /** @type {any} */ (event);
  if (!$(".presenting") || !state.answer || event.defaultPrevented || target.closest("input, .big, [role=tab]")) return;
  if (key === " ") playOrStop();
  else if (!step($(".strip"), $(".stage[aria-pressed=true]"), key, true)) return;
  event.preventDefault();
});

// Predict, then reveal: of each new picture, names and numbers stay hidden until whoever watches has guessed.

let predicts = stored("sessionStorage", "predict") === true;
let revealed = ""; // the picture whose answer was seen

function hide() {
  if (state.answer) set({ guessing: predicts && state.answer.picture !== revealed });
}
for (const control of $$(".predict input")) {
  control.checked = predicts;
  control.addEventListener("change", () => {
    predicts = control.checked;
    stored("sessionStorage", "predict", predicts);
    for (const other of $$(".predict input")) other.checked = predicts;
    revealed = "";
    hide();
  });
}
on(".reveal", "click", () => {
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
