// @ts-check
// The nine stages in three acts, from pixels to the heads. One tab stop for nine; arrow keys step through them.
import { painted, stageAlt } from "./answer.js";
import { paint, scaleOf } from "./drawing.js";
import { $, HEADS, LAST, make, STAGES, still } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { say, words } from "./words.js";

HEADS.forEach((head, i) => {
  const act = make("div", { class: "act", role: "group", "aria-label": say("act", { head: words[head] }) });
  for (const name of STAGES.slice(3 * i, 3 * i + 3)) {
    act.append(
      make(
        "button",
        { type: "button", class: "stage", "data-stage": name, tabindex: -1, onclick: () => choose(name) },
        make("span", { class: "cell" }, make("canvas", { role: "img" })),
        make("span", { class: "name" }, make("b", {}, name), " ", make("span", { class: "soft size" })),
      ),
    );
  }
  $(".strip").append(act);
});
$(".strip").append(make("p", { class: "behind soft small", hidden: "" }));
$(".strip").setAttribute("aria-label", words.strip);
$(".strip").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (step(event.key)) event.preventDefault();
});
$(".walk").setAttribute("aria-label", words.walk);

/** @param {string} name @returns {any} */
function button(name) {
  return $(`.stage[data-stage="${name}"]`);
}
/** The stages that the asked head sees. */
export function seenStages() {
  return STAGES.filter(name => state.answer.grids[name]);
}
/** Go through the stages by a key. @param {string} key @returns {boolean} whether it was one */
export function step(key) {
  const seen = seenStages();
  const at = seen.indexOf(state.stage);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: seen.length - 1 }[key];
  if (to === undefined) return false;
  if (seen[to]) {
    choose(seen[to]);
    button(seen[to]).focus({ preventScroll: true });
  }
  return true;
}
/** Enlarge a stage that a person chose, which ends the playing. @param {string} name */
function choose(name) {
  set({ playing: false });
  if (name === state.stage) return set({ chosen: true });
  set({ stage: name, chosen: true, touched: null });
  $(".announce").textContent = stageAlt(name);
}

/** On a phone, where acts and cards are rows to swipe: bring the chosen stage's act and its card into view.
 * @param {ScrollBehavior} behavior */
function turn(behavior) {
  const act = Math.floor(STAGES.indexOf(state.stage) / 3);
  for (const row of [$(".strip"), $(".cards")]) {
    if (row.scrollWidth > row.clientWidth + 4)
      row.scrollTo({ left: row.children[act].offsetLeft - row.children[0].offsetLeft, behavior });
  }
}

/** Draw the strip: every stage's overlay, and one bracket over the stages that the asked head does not see. */
function showStrip() {
  const { head } = state.answer.result.question;
  const unseen = STAGES.length - seenStages().length;
  $(".behind").hidden = !unseen;
  $(".behind").style.gridColumn = `${4 - unseen / 3} / 4`;
  $(".behind").textContent = unseen ? say("behind", { head: words[head], name: head, stage: LAST[head] }) : "";
  for (const name of STAGES) {
    const node = button(name);
    const canvas = node.querySelector("canvas");
    const grid = state.answer.grids[name];
    node.disabled = canvas.hidden = !grid;
    node.querySelector(".size").textContent = grid ? `${grid.h}×${grid.w}` : "";
    if (!grid) continue;
    paint(canvas, grid, grid.sum, scaleOf([grid.sum]));
    canvas.setAttribute("aria-label", stageAlt(name));
  }
}
painted(showStrip);
subscribe(["answer", "stage"], () => {
  for (const name of STAGES) {
    button(name).setAttribute("aria-pressed", name === state.stage);
    button(name).tabIndex = name === state.stage ? 0 : -1;
  }
});
/** @type {any} */ let shown = null;
subscribe(["answer", "stage"], () => {
  if (!state.answer) return;
  turn(still.matches || shown !== state.answer ? "auto" : "smooth");
  shown = state.answer;
});
