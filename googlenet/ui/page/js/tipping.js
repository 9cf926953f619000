// @ts-check
// Where the answer is wrong: what spoke for it, what spoke for the truth, what tipped it, and the answer without that. Four
// pictures of one stage on one scale.
import { painted } from "./answer.js";
import { ask, request } from "./asking.js";
import { paint, paintPart, unpack } from "./drawing.js";
import { nameOf } from "./names.js";
import { $, make, pause } from "./page.js";
import { answered } from "./right.js";
import { state, subscribe } from "./store.js";
import { proseOf, say, words } from "./words.js";

let wanted = ""; // which tipping the page shows or has asked for
/** @type {any} */ let tipped = null; // what Python answered about it

/** What the visitor says is right, where that is not what was answered. @returns {Klass | null} */
function rival() {
  const index = state.truth ? state.weights.labels.indexOf(state.truth) : -1;
  return index < 0 || state.truth === answered().label ? null : { index, label: /** @type {string} */ (state.truth) };
}

async function follow() {
  if (!state.answer || state.playing) return;
  const right = rival();
  $(".tipping").hidden = !right;
  $(".side").classList.toggle("tipped", !!right);
  if (!right) {
    wanted = "";
    tipped = null;
    return;
  }
  const { answer, stage } = state;
  const { head, method } = answer.result.question;
  const own = answered();
  const key = JSON.stringify([answer.picture, state.weights.chosen, head, method, own.index, right.index, stage]);
  if (key === wanted) return tipped && show(own, right);
  wanted = key;
  tipped = null;
  if (!$(".tips").childElementCount) show(own, right);
  $(".tipping").setAttribute("aria-busy", "true");
  await pause(150); // a visitor who steps through the stages asks about the last one
  if (wanted !== key) return;
  const reply = await request("tip", { head, target: own.index, contrast: null, rival: right.index, stage });
  if (wanted !== key) return;
  if (!reply) {
    wanted = "";
    return;
  }
  tipped = { ...reply.tip, grids: reply.tip.maps.map(unpack) };
  show(own, right);
}

/** @param {Klass} own @param {Klass} right */
function show(own, right) {
  const { contrast, target } = state.answer.result.question;
  const names = { class: nameOf(own), rival: nameOf(right) };
  const asks = [
    [own.index, null],
    [right.index, null],
    [own.index, right.index],
  ];
  const captions = [
    say("tip_for", names),
    say("tip_same", { class: names.rival }),
    say("tip_over", names),
    words[tipped && !tipped.box ? "tip_nothing" : "tip_covered"],
  ];
  const figures = captions.map((caption, i) => {
    const parts = [
      make("span", { class: "cell" }, make("canvas", { "aria-hidden": "true" })),
      make("span", { class: "tip-name" }, caption),
    ];
    if (i === 3) return make("figure", { class: "tip" }, ...parts);
    const [asked, than] = asks[i];
    const onclick = () => ask({ ...state.wanted, target: asked, contrast: than });
    const pressed = target.index === asked && (contrast?.index ?? null) === than;
    return make("button", { type: "button", class: "tip", "aria-pressed": pressed, onclick }, ...parts);
  });
  const focused = [...$(".tips").children].indexOf(document.activeElement);
  $(".tips").replaceChildren(...figures);
  if (focused >= 0) figures[focused].focus({ preventScroll: true });
  $(".tipping").setAttribute("aria-busy", String(!tipped));
  const lines = { "tip-say": tipped && proseOf(tipped.say), "tip-why": tipped && proseOf(tipped.why) };
  for (const [name, text] of Object.entries(lines)) {
    $(`.${name}`).textContent = text ?? (tipped ? "" : words.working);
    $(`.${name}`).hidden = !text && (!!tipped || name === "tip-why");
  }
  paintTips();
}
function paintTips() {
  if ($(".tipping").hidden || !tipped) return;
  const [own, right, tip, last] = $(".tips").querySelectorAll("canvas");
  [own, right, tip].forEach((canvas, i) => {
    paint(canvas, tipped.grids[i], tipped.grids[i].sum, Math.max(1e-12, tipped.scale));
  });
  paintPart(last, state.answer.result.seen, tipped.box);
}
painted(paintTips);
subscribe(["answer", "truth", "stage", "playing"], follow);
