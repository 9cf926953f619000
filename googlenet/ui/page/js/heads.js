// @ts-check
// What the three heads say: a card for each, and the classes' probabilities by depth.
import { painted, repaint } from "./answer.js";
import { ask } from "./asking.js";
import { helpMark } from "./help.js";
import { $, $$, draw, HEADS, LAST, make, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { percent, rounded, say, words } from "./words.js";

for (const head of HEADS) {
  const radio = make("input", { type: "radio", name: "head", value: head, onchange: () => ask({ ...state.wanted, head }) });
  $(".seg").append(make("label", {}, radio, make("span", {}, words[head], make("small", {}, head))));
  const title = make(
    "h2",
    {},
    head === "aux1" ? make("span", { class: "first" }, words[head], helpMark("probability")) : words[head],
    make("span", { class: "soft" }, `${head} · ${say("after", { stage: LAST[head] })}`),
  );
  $(".cards").append(make("div", { class: "card", "data-head": head }, title, make("ul", { class: "rows" })));
}

/** A head's four or five most probable classes and the asked one. @param {string} head */
function card(head) {
  const node = $(`.card[data-head="${head}"]`);
  const rows = node.querySelector(".rows");
  const predictions = state.answer.result.heads[head];
  const { target, contrast, head: asking } = state.answer.result.question;
  node.classList.toggle("asking", asking === head);
  if (!predictions) {
    rows.replaceChildren(make("li", { class: "absent soft" }, say("absent", { head })));
    return;
  }
  const known = predictions.some(p => p.index === target.index);
  const probability = state.answer.result.belief[head];
  /** @type {(Prediction & {beyond?: boolean})[]} */
  const shown = known ? predictions : [...predictions.slice(0, 4), { ...target, probability, beyond: true }];
  const focused = rows.contains(document.activeElement) ? /** @type {any} */ (document.activeElement).dataset.class : null;
  rows.replaceChildren(
    ...shown.map(p =>
      make(
        "li",
        { class: p.beyond ? "beyond" : null },
        make(
          "button",
          {
            type: "button",
            class: "row",
            "data-class": p.index,
            "aria-pressed": p.index === target.index,
            onclick: () =>
              ask({
                ...state.wanted,
                head,
                target: p.index,
                contrast: contrast?.index === p.index ? null : state.wanted.contrast,
              }),
          },
          make("i", { style: `--share:${p.probability}` }),
          make("span", {}, p.label),
          make("u", {}, percent(p.probability)),
        ),
      ),
    ),
  );
  rove(rows, rows.querySelector("[aria-pressed=true]"));
  if (focused) (rows.querySelector(`[data-class="${focused}"]`) || rows.querySelector("button"))?.focus({ preventScroll: true });
}

/** Move labels apart that would overlap, in place; they keep their order. @param {{y: number}[]} labels @param {number} least
 * @param {number} bottom the lowest place */
function spread(labels, least, bottom) {
  labels.sort((a, b) => a.y - b.y);
  for (let i = 1; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + least);
  let limit = bottom;
  for (let i = labels.length - 1; i >= 0; i--, limit -= least) labels[i].y = Math.min(labels[i].y, limit);
}

/** Cut a name in the chart until it fits beside its figure. @param {any} text @param {string} label @param {string} figure
 * @param {number} room in pixels */
function shorten(text, label, figure, room) {
  const all = text.getComputedTextLength();
  if (all <= room) return;
  let letters = Math.max(3, Math.floor((label.length * room) / all));
  do text.textContent = `${label.slice(0, --letters).trim()}… ${figure}`;
  while (letters > 2 && text.getComputedTextLength() > room);
}

/** The slope chart: the asked class and up to five others over the three depths, so that crossings are seen.
 * @param {number} width @param {number} height */
function slope(width = $(".slope").clientWidth || 400, height = $(".slope").clientHeight || 150) {
  const root = $(".slope");
  const heads = HEADS.filter(head => state.answer.result.heads[head]);
  const classes = state.answer.by_depth;
  const size = parseFloat(getComputedStyle(root).fontSize); // of the page; the chart's names are a little smaller
  const [top, bottom] = [size * 1.1, height - size * 1.85];
  const left = size * 3.2; // of the axis
  const column = (width - left) / HEADS.length;
  const x = (/** @type {string} */ head) => left + column * HEADS.indexOf(head);
  const y = (/** @type {number} */ p) => bottom - (bottom - top) * p;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  for (const head of heads) {
    svg.append(draw("line", { class: "depth", x1: x(head), x2: x(head), y1: top - 6, y2: bottom + 4 }));
    svg.append(draw("text", { class: "head", x: x(head) - 5, y: height - 4 }, words[head]));
  }
  for (const p of [0, 0.5, 1]) {
    svg.append(draw("line", { class: "level", x1: left, x2: width, y1: y(p), y2: y(p) }));
    svg.append(draw("text", { class: "level", x: left - 8, y: y(p) + 4, "text-anchor": "end" }, rounded(p)));
  }
  const { target, contrast } = state.answer.result.question;
  const role = (/** @type {number} */ index) => (index === target.index ? "asked" : index === contrast?.index ? "rather" : "");
  for (const { index, belief } of [...classes].reverse()) {
    const points = heads.map(head => `${x(head)},${y(belief[head])}`).join(" ");
    const name = role(index);
    svg.append(draw("polyline", { class: name, points }));
    for (const head of heads)
      svg.append(draw("circle", { class: name, cx: x(head), cy: y(belief[head]), r: name === "asked" ? 5 : 3 }));
  }
  const [help] = root.querySelectorAll(".helped");
  root.replaceChildren(svg, help ?? helpMark("depth"));
  for (const head of heads) {
    const labels = classes
      .map(c => ({ ...c, p: c.belief[head], y: y(c.belief[head]) + 4 }))
      .filter(c => role(c.index) || c.p > 0.04);
    spread(labels, size * 1.08, bottom + 4);
    for (const { index, label, p, y: at } of labels) {
      const figure = percent(p);
      const text = draw("text", { class: role(index), x: x(head) + 10, y: at }, `${label} ${figure}`);
      svg.append(text);
      shorten(text, label, figure, column - 16);
      text.append(draw("title", {}, `${label} ${figure}`));
      const box = text.getBBox(); // the lines pass behind the names
      text.before(draw("rect", { x: box.x - 2, y: box.y, width: box.width + 4, height: box.height }));
    }
  }
  const told = classes.map(c => `${c.label}: ${heads.map(head => `${head} ${percent(c.belief[head])}`).join(", ")}`);
  svg.setAttribute("aria-label", `${words.by_depth}. ${told.join("; ")}`);
}

window.addEventListener("beforeprint", () => state.answer && slope(420, 300)); // its place on A4; the page still has the window's size
window.addEventListener("afterprint", repaint);
painted(() => slope());
subscribe(["answer"], () => {
  const { question, heads } = state.answer.result;
  for (const radio of $$(".seg input")) {
    radio.checked = radio.value === question.head;
    radio.disabled = !heads[radio.value];
  }
  HEADS.forEach(card);
});
