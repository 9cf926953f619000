// @ts-check
// "Is it right?": small buttons under the headline, by which the visitor says what the picture shows.
import { combobox } from "./combobox.js";
import { nameOf } from "./names.js";
import { $, make, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { tell } from "./truths.js";
import { say, words } from "./words.js";

let searching = false; // whether the search for another class is open
const search = combobox(
  $(".combo.truth"),
  null,
  chosen => {
    searching = false;
    if (chosen) tell(chosen.label);
  },
  () => null,
);

/** The asked head's answer. @returns {Prediction} */
export function answered() {
  const { heads, question } = state.answer.result;
  return /** @type {Prediction[]} */ (heads[question.head])[0];
}

function showQuestion() {
  if (!state.answer) return;
  const { answer, truth } = state;
  const best = answered();
  const names = answer.unlikely ? answer.likeliest.slice(0, 3) : answer.likeliest.slice(1, 4);
  const index = truth ? state.weights.labels.indexOf(truth) : -1;
  if (index >= 0 && truth !== best.label && names.every(each => each.label !== truth))
    names.push({ index, label: /** @type {string} */ (truth), probability: 0 });
  const row = $(".is-right");
  const focused = row.contains(document.activeElement) && /** @type {any} */ (document.activeElement).dataset.says;
  /** @param {string} says @param {string} text @param {() => void} onclick @param {boolean} pressed */
  const button = (says, text, onclick, pressed) =>
    make("button", { type: "button", class: "pill", "data-says": says, "aria-pressed": pressed, onclick }, text);
  const names_ = names.map(each => button(each.label, nameOf(each), () => tell(each.label), truth === each.label));
  row.replaceChildren(
    make("span", { id: "is-right" }, answer.unlikely ? words.right_what : words.right_is),
    ...(answer.unlikely ? [] : [button("yes", words.right_yes, () => tell(best.label), truth === best.label)]),
    ...(answer.unlikely ? [] : [make("span", { class: "soft" }, words.right_no)]),
    ...names_,
    make(
      "button",
      {
        type: "button",
        class: "pill",
        "data-says": "another",
        "aria-expanded": searching,
        "aria-controls": "truth-search",
        onclick: another,
      },
      words.right_another,
    ),
    button("none", words.right_none, () => tell(""), truth === ""),
  );
  rove(
    row,
    [...row.querySelectorAll("button")].find(each => each.dataset.says === focused) ?? row.querySelector("[aria-pressed=true]"),
  );
  if (focused) row.querySelector('[tabindex="0"]').focus({ preventScroll: true });
  $(".combo.truth").hidden = !searching;
  $(".none-fits").hidden = truth !== "";
  $(".none-fits").textContent = say("none_fits", { count: state.weights.labels.length.toLocaleString("en") });
}
function another() {
  searching = !searching;
  showQuestion();
  if (!searching) return;
  search.set(null);
  $(".combo.truth input").focus();
  $(".combo.truth input").click(); // the ten likeliest stand open
}
subscribe(["answer"], () => {
  searching = false;
});
subscribe(["answer", "truth"], showQuestion);
