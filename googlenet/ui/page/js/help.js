// @ts-check
// Small "?" marks beside the terms that need a sentence.
import { $$, html } from "./page.js";
import { say, words } from "./words.js";

/** A mark and what it opens. @param {string} term the name of a text: `help_TERM` */
export function helpMark(term) {
  const [, name, text] = /** @type {any} */ (words[`help_${term}`].match(/^(.+?): (.+)$/));
  const id = `help-${term}`;
  const label = say("what_is", { term: name });
  const marked = html`<span class="helped"><button type="button" class="help" popovertarget="${id}" aria-label="${label}">?</button>
    <span class="help-text" id="${id}" popover="auto" role="note"><b>${name}</b> ${text}</span></span>`;
  const [mark, opened] = marked.children;
  opened.addEventListener("toggle", (/** @type {any} */ { newState }) => newState === "open" && placeBeside(opened, mark));
  mark.addEventListener("blur", () => opened.hidePopover());
  return marked;
}

/** Put what a mark opened under it, or above it where there is no room, within the window.
 * @param {any} opened @param {any} mark */
function placeBeside(opened, mark) {
  const at = mark.getBoundingClientRect();
  const { width, height } = opened.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left - 12), document.documentElement.clientWidth - width - 8);
  const top = at.bottom + 6 + height < innerHeight ? at.bottom + 6 : Math.max(8, at.top - height - 6);
  opened.style.left = `${left + scrollX}px`;
  opened.style.top = `${top + scrollY}px`;
}

for (const place of $$("[data-help]")) place.replaceWith(helpMark(place.dataset.help));

// The menus: Escape and a press elsewhere close them.

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
