// @ts-check
// Presenting: the full screen, large type, without what nobody reads from the back row. Keys walk and play from anywhere.

/** @param {boolean} on */
function presenting(on) {
  $(".page").classList.toggle("presenting", on);
  $(".present").setAttribute("aria-pressed", on);
  repaint();
}
$(".present").addEventListener("click", () => {
  const on = !$(".page").classList.contains("presenting");
  if (on)
    document.documentElement.requestFullscreen?.().catch(() => {}); // a frame may forbid it; the view is large all the same
  else if (document.fullscreenElement) document.exitFullscreen();
  presenting(on);
});
document.addEventListener("fullscreenchange", () => {
  if (!document.fullscreenElement) presenting(false);
});
document.addEventListener("keydown", event => {
  if (!$(".page").classList.contains("presenting") || !answer || event.defaultPrevented) return;
  const field = /** @type {any} */ (event.target)?.closest?.("input, .big, [role=tab]");
  if (field) return;
  if (event.key === " ") playing ? stopPlaying() : play();
  else if (!step(event.key)) return;
  event.preventDefault();
});
