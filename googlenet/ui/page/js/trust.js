// @ts-check
// The tab "Trust": whether the answer hangs on the places that the enlarged stage's map shows bright, measured when asked for.

/** What was measured of the painted answer, by stage. @type {Record<string, any>} */ let trusted = {};
let trustedAnswer = 0; // the number of that answer
/** What is being measured @type {{n: number, stage: string, progress: number, waiting: number} | null} */ let measuring = null;

tabs.add({ name: "trust", title: words.tab_trust, show: showTrust });

function measureTrust() {
  stopPlaying();
  measuring = { n: asked, stage, progress: 0, waiting: 0 };
  tabs.show();
  request("like", { stage });
}
receivers.trust = message => {
  const { trust, n } = message;
  if (n !== asked) return;
  if (trust.steps) {
    trusted[trust.stage] = { ...trust, grid: unpack(trust.randomised) };
    measuring = null;
  } else if (measuring) measuring = { ...measuring, ...trust };
  if (tabs.current === "trust") tabs.show();
};
const otherErrors = receivers.error;
receivers.error = message => {
  if (measuring?.n === message.n) measuring = null;
  return otherErrors(message);
};

/** What was measured once for these weights, of the enlarged stage and the asked head. */
function knownTrust() {
  const said = weights.trust[answer.result.question.head]?.[stage];
  return said ? proseOf(said) : words.trust_unknown;
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
  const { waiting, progress, stage } = measuring ?? { waiting: 0, progress: 0, stage: "" };
  return waiting
    ? say("queue", { place: waiting })
    : say("trust_running", { stage, share: `${Math.round(progress * 100)}\u00a0%` });
}

/** What was found of the enlarged stage on this picture. @param {any} found @returns {[Node[], () => void]} and what paints it */
function trustFound(found) {
  const own = trustMap(say("trust_own", { stage }), answer.grids[stage]);
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

/** @param {any} root */
function showTrust(root) {
  if (trustedAnswer !== asked) [trusted, trustedAnswer] = [{}, asked];
  if (measuring && measuring.n !== asked) measuring = null;
  const shown = `${asked} ${stage}`;
  const running = root.querySelector("progress");
  if (measuring && running?.dataset.of === shown) {
    running.value = measuring.progress;
    running.previousSibling.textContent = runningText();
    return;
  }
  const focused = root.contains(document.activeElement);
  const found = trusted[stage];
  const [parts, paintFound] = found ? trustFound(found) : [[make("p", { class: "soft" }, words.trust_how)], () => {}];
  if (measuring) {
    parts.push(make("p", { role: "status", tabindex: -1 }, runningText()));
    parts.push(make("progress", { max: 1, value: measuring.progress, "data-of": shown, "aria-label": words.trust_progress }));
  } else if (!found) {
    parts.push(make("button", { type: "button", class: "plain", onclick: measureTrust }, say("trust_start", { stage })));
  }
  root.replaceChildren(make("p", { class: "trust-known" }, knownTrust()), ...parts);
  paintFound();
  if (focused) root.querySelector("button, [tabindex]").focus();
}
