// @ts-check
// Small "?" marks beside the terms that need a sentence.
import { $$, make } from "./page.js";
import { say, words } from "./words.js";

/** A mark and what it opens. @param {string} term the name of a text: `help_TERM` */
export function helpMark(term) {
  const [, name, text] = /** @type {any} */ (words[`help_${term}`].match(/^(.+?): (.+)$/));
  const id = `help-${term}`;
  const label = say("what_is", { term: name });
  const mark = make("button", { type: "button", class: "help", popovertarget: id, "aria-label": label }, "?");
  const opened = make("span", { class: "help-text", id, popover: "auto", role: "note" }, make("b", {}, name), ` ${text}`);
  opened.addEventListener("toggle", (/** @type {any} */ { newState }) => newState === "open" && placeBeside(opened, mark));
  mark.addEventListener("blur", () => opened.hidePopover());
  return make("span", { class: "helped" }, mark, opened);
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
