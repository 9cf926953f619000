// @ts-check
// What goes on and what went wrong, said under the examples.
import { stored } from "./memory.js";
import { $, element } from "./page.js";
import { words } from "./words.js";

/** How else a picture can be brought, until one was. */
function hint() {
  return stored("sessionStorage", "brought") ? "" : words.hint;
}
/** Say what goes on. @param {string} text */
export function notice(text) {
  $(".notice").textContent = text || hint();
  $(".notice").classList.toggle("hint", !text); // there is no dropping on a phone
  $(".mistake").textContent = "";
}
/** Say what went wrong, in the same place. @param {string} text */
export function complain(text) {
  notice("");
  $(".notice").textContent = text ? "" : hint();
  $(".mistake").textContent = text;
}
/** @param {string} text what the page does, or nothing where it is done */
export function busy(text) {
  element.setAttribute("aria-busy", String(!!text));
  $(".page").classList.toggle("busy", !!text);
  $(".stop").hidden = true;
  notice(text);
}
/** Say that it takes long, with a way out. @param {string} text */
export function working(text) {
  if (!$(".page").classList.contains("busy")) return;
  notice(text);
  $(".stop").hidden = false;
}
notice("");
