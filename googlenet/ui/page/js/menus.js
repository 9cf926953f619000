// @ts-check
// The menus: Escape and a press elsewhere close them.
import { $$ } from "./page.js";

for (const menu of $$(".menu")) {
  document.addEventListener("keydown", event => {
    if (event.key !== "Escape" || !menu.open || menu.querySelector(":popover-open")) return; // the nearest one closes
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("pointerdown", event => {
    if (!menu.contains(event.target)) menu.open = false;
  });
}
