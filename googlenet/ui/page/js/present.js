// @ts-check
// Presenting: the full screen, large type, without what nobody reads from the back row. Keys walk and play from anywhere.
import { repaint } from "./answer.js";
import { stored } from "./memory.js";
import { $, $$ } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { playOrStop, step } from "./walk.js";
import { words } from "./words.js";

const presents = () => $(".page").classList.contains("presenting");

/** @param {boolean} on */
function presenting(on) {
  $(".page").classList.toggle("presenting", on);
  $(".present").setAttribute("aria-pressed", on);
  $(".present").textContent = on ? words.present_leave : words.present;
  repaint();
}
$(".present").addEventListener("click", () => {
  const on = !presents();
  if (on)
    document.documentElement.requestFullscreen?.().catch(() => {}); // a frame may forbid it; the view is large all the same
  else if (document.fullscreenElement) document.exitFullscreen();
  presenting(on);
});
document.addEventListener("fullscreenchange", () => {
  if (!document.fullscreenElement) presenting(false);
});
document.addEventListener("keydown", event => {
  if (!presents() || !state.answer || event.defaultPrevented) return;
  const field = /** @type {any} */ (event.target)?.closest?.("input, .big, [role=tab]");
  if (field) return;
  if (event.key === " ") playOrStop();
  else if (!step(event.key)) return;
  event.preventDefault();
});

// Predict, then reveal: of each new picture, names and numbers stay hidden until whoever watches has guessed.

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
