// Small "?" marks beside the terms that need a sentence.
import { $, $$, html } from "./page.js";
import { say, words } from "./words.js";

/** A mark and what it opens. @param {string} term the name of a text: `help_TERM` */
export function helpMark(term) {
  const [, name, text] = /** @type {any} */ (words[`help_${term}`].match(/^(.+?): (.+)$/));
  const id = `help-${term}`;
  const label = say("what_is", { term: name });
  const marked = html`<span class="helped"><button type="button" class="help" popovertarget="${id}" aria-label="${label}">?</button>
    <span class="help-text" id="${id}" popover="auto" role="note"><b>${name}</b> ${text}</span></span>`;
  marked.firstElementChild.addEventListener("blur", () => marked.lastElementChild.hidePopover());
  return marked;
}
for (const place of $$("[data-help]")) place.replaceWith(helpMark(place.dataset.help));

// The menus: Escape and a press elsewhere close them.

document.addEventListener("keydown", ({ key }) => {
  const menu = key === "Escape" && !$(":popover-open") && $(".menu[open]"); // the nearest one closes
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("pointerdown", ({ target }) => {
  for (const menu of $$(".menu[open]")) if (!menu.contains(target)) menu.open = false;
});
