// @ts-check
// In the tab "Test": whether the answer hangs on the places that the enlarged stage's map shows bright, measured when asked for.
import { askedName } from "./answer.js";
import { request } from "./asking.js";
import { paint, scaleOf, unpack } from "./drawing.js";
import { knownTrust } from "./evidence.js";
import { helpMark } from "./help.js";
import { draw, make } from "./page.js";
import { set, state } from "./store.js";
import { showTab } from "./tabs.js";
import { percent, proseOf, rounded, say, words } from "./words.js";

/** What was measured of an answer, by stage. @type {WeakMap<Answer, Record<string, any>>} */ const measured = new WeakMap();
/** What is being measured @type {{answer: Answer, stage: string, share: number, place: number} | null} */ let measuring = null;

async function measureTrust() {
  set({ playing: false });
  const { answer, stage } = state;
  const mine = { answer, stage, share: 0, place: 0 };
  measuring = mine;
  showTab();
  const reply = await request("trust", { stage }, told => {
    if (measuring !== mine) return;
    Object.assign(mine, { place: 0 }, told);
    showTab("test");
  });
  if (measuring === mine) measuring = null;
  if (reply) {
    const { trust } = reply;
    measured.set(answer, { ...measured.get(answer), [trust.stage]: { ...trust, grid: unpack(trust.randomised) } });
  }
  showTab("test");
}

/** The area under a curve over evenly spaced steps. @param {number[]} curve */
function area(curve) {
  return curve.slice(1).reduce((sum, p, i) => sum + (p + curve[i]) / 2, 0) / (curve.length - 1);
}

/** Two curves in one chart: in the map's order and in random order.
 * @param {string} title @param {string} across @param {number[]} own @param {number[]} random @param {number} top */
function trustChart(title, across, own, random, top) {
  const at = (/** @type {number} */ p, /** @type {number} */ i) => `${(i / (own.length - 1)) * 100},${60 - (p / top) * 58}`;
  const path = (/** @type {number[]} */ curve) => curve.map(at).join(" ");
  const chart = draw("svg", { viewBox: "0 0 100 60", preserveAspectRatio: "none", "aria-hidden": "true" });
  chart.append(
    draw("line", { x1: 0, x2: 100, y1: 60, y2: 60 }),
    draw("polyline", { points: path(random), class: "random" }),
    draw("polyline", { points: path(own), class: "own" }),
  );
  const values = { title, class: askedName(), own: percent(area(own), true), random: percent(area(random), true) };
  const label = make("div", { role: "img", class: "chart", "aria-label": say("trust_chart_alt", values) });
  label.append(chart);
  return make(
    "figure",
    {},
    make("figcaption", {}, title),
    label,
    make(
      "div",
      { class: "axis soft small" },
      make("span", {}, "0\u00a0%"),
      make("span", {}, across),
      make("span", {}, "100\u00a0%"),
    ),
  );
}

/** A map beside its name. @param {string} name @param {Grid} grid */
function trustMap(name, grid) {
  const canvas = make("canvas", { role: "img", "aria-label": name });
  const figure = make("figure", {}, make("span", { class: "cell" }, canvas), make("figcaption", {}, name));
  return { figure, paint: () => paint(canvas, grid, grid.sum, scaleOf([grid.sum])) };
}

/** What is being measured, and how far it is. */
function runningText() {
  const { place, share, stage } = measuring ?? { place: 0, share: 0, stage: "" };
  return place ? say("queue", { place }) : say("trust_running", { stage, share: rounded(share) });
}

/** What was found of the enlarged stage on this picture. @param {any} found @returns {[Node[], () => void]} and what paints it */
function trustFound(found) {
  const { stage } = state;
  const own = trustMap(say("trust_own", { stage }), state.answer.grids[stage]);
  const randomised = trustMap(words.trust_randomised, found.grid);
  const top = Math.max(0.01, ...found.deletion, ...found.insertion, ...found.random_deletion, ...found.random_insertion);
  const key = (/** @type {string} */ name, /** @type {string} */ text) => make("span", {}, make("i", { class: name }), text);
  const parts = [
    make("p", { class: "trust-say", role: "status", tabindex: -1 }, proseOf(found.say)),
    make(
      "div",
      { class: "trust-found" },
      trustChart(words.trust_deletion, words.trust_hidden, found.deletion, found.random_deletion, top),
      trustChart(words.trust_insertion, words.trust_shown, found.insertion, found.random_insertion, top),
      own.figure,
      randomised.figure,
    ),
    make(
      "p",
      { class: "key soft small" },
      make("span", {}, say("trust_axis", { class: askedName(), top: percent(top, true) })),
      key("own", words.trust_order_own),
      key("random", words.trust_order_random),
    ),
  ];
  const paintBoth = () => {
    own.paint();
    randomised.paint();
  };
  return [parts, paintBoth];
}

/** @param {any} root @param {string} stage */
export function showTrust(root, stage) {
  if (measuring?.answer !== state.answer) measuring = null;
  const running = root.querySelector("progress");
  if (measuring && running?.dataset.of === stage) {
    running.value = measuring.share;
    running.previousSibling.textContent = runningText();
    return;
  }
  const focused = root.contains(document.activeElement);
  const found = measured.get(state.answer)?.[stage];
  const [parts, paintFound] = found ? trustFound(found) : [[make("p", { class: "soft" }, words.trust_how)], () => {}];
  if (measuring) {
    parts.push(make("p", { role: "status", tabindex: -1 }, runningText()));
    parts.push(make("progress", { max: 1, value: measuring.share, "data-of": stage, "aria-label": words.trust_progress }));
  } else if (!found) {
    parts.push(make("button", { type: "button", class: "plain", onclick: measureTrust }, say("trust_start", { stage })));
  }
  root.replaceChildren(make("p", { class: "trust-known" }, knownTrust(), " ", helpMark("centre")), ...parts);
  paintFound();
  if (focused) root.querySelector(".plain, [tabindex]").focus();
}
