// What goes on and what went wrong, said under the examples; and how far something is that takes long.
import { $, element, html } from "./page.js";
import { rounded, say, words } from "./words.js";

/** Say what goes on, or else how a picture can be brought. @param {string} text */
export function notice(text) {
  $(".notice").textContent = text || words.hint;
  $(".notice").classList.toggle("hint", !text); // there is no dropping on a phone
  $(".mistake").textContent = "";
}
/** Say what went wrong, in the same place. @param {string} text */
export function complain(text) {
  notice("");
  if (text) $(".notice").textContent = "";
  $(".mistake").textContent = text;
}
/** @param {string} text what the page does, or nothing where it is done */
export function busy(text) {
  element.setAttribute("aria-busy", String(!!text));
  $(".page").classList.toggle("busy", !!text);
  $(".stop").hidden = true;
  $(".languages").disabled = text === words.uploading; // to load the page again would lose the picture
  notice(text);
}
/** Say that it takes long, with a way out. @param {string} text */
export function working(text) {
  if (!$(".page").classList.contains("busy")) return;
  notice(text);
  $(".stop").hidden = false;
}
/** Say in an element with the role of a status how far something is, with a way out. @param {any} root @param {string} text
 * @param {Progress} progress @param {() => void} cancel */
export function meter(root, text, { share = 0, place = 0 }, cancel) {
  if (!root.firstElementChild)
    root.replaceChildren(
      html`<span></span><progress max="1" aria-label="${text}"></progress>
        <button type="button" class="plain" ${cancel}>${words.cancel}</button>`,
    );
  const [line, bar] = root.children;
  line.textContent = place ? say("queue", { place }) : share ? `${text}, ${rounded(share)}` : text;
  bar.value = share;
}
notice("");
