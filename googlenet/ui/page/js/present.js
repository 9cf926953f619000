// @ts-check
// Presenting: the full screen, large type, without what nobody reads from the back row. Keys walk and play from anywhere.
import { repaint } from "./answer.js";
import { $ } from "./page.js";
import { playOrStop } from "./play.js";
import { state } from "./store.js";
import { step } from "./strip.js";
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
