// The answer in words: the headline, how far to believe it, what the heads say in one line, and where the evidence lies.
import { repaint } from "./answer.js";
import { ask } from "./asking.js";
import { $, HEADS, html, LAST, on, svg } from "./page.js";
import { state, subscribe } from "./store.js";
import { suggest } from "./weights.js";
import { bothNames, helpMark, keyOf, language, nameOf, percent, prose, rounded, say, words } from "./words.js";

/** All of it as one text. */
export function said() {
  const { headline, record, heads, place } = state.answer.words[language];
  return prose([headline.join(""), record, heads, place].filter(Boolean).join(" "));
}
/** A text word by word: the walk lets them appear in turn, and the lines stay. @param {string} text */
function wrapped(text) {
  const parts = prose(text).split(/(\s+)/);
  return parts.map(part => (part.trim() ? html`<span class="word">${part}</span>` : part));
}
subscribe(["answer"], () => {
  const { headline, record, heads, place } = state.answer.words[language];
  const parts = headline.flatMap((part, i) => (i % 2 ? html`<b class="asked">${wrapped(part)}</b>` : wrapped(part)));
  $(".headline").replaceChildren(...parts);
  for (const [name, text] of Object.entries({ "how-often": record, "by-heads": heads, place })) {
    $(`.say .${name}`).replaceChildren(...wrapped(text ?? ""));
    $(`.say .${name}`).hidden = !text;
  }
  if (!state.answer.unlikely) return;
  $(".headline").append(" ", helpMark("unlikely"));
  suggest($(".headline"));
});

// What the three heads say: a card for each, and the classes' probabilities by depth.

for (const head of HEADS) {
  const after = `${head} · ${say("after", { stage: LAST[head] })}`;
  $(".cards").append(
    html`<div class="card" data-head="${head}">
      <h2><button type="button" class="ask"><span>${words[head]}</span><span class="soft">${after}</span></button></h2>
      <ul class="rows"></ul><p class="statement soft small"></p></div>`,
  );
}

/** A press on a card asks its head: about the class or group that was pressed, else about the class that is asked now. */
on(".cards", "click", ({ target: node }) => {
  const { head } = node.closest(".card")?.dataset ?? {};
  if (!state.answer?.result.heads[head]) return;
  const name = $(`.card[data-head="${head}"] .ask`);
  const pressed = node.closest("[data-class]:not(.asking [aria-current])");
  if (name.disabled && !pressed) return;
  if (!name.disabled) name.focus({ preventScroll: true });
  ask({ ...state.wanted, head, target: pressed ? JSON.parse(pressed.dataset.class) : state.wanted.target });
});

/** Bring a card up to date: a head's four or five most probable classes and the asked one. @param {string} head */
function card(head) {
  const node = $(`.card[data-head="${head}"]`);
  const { heads, belief, question, statements } = state.answer.result;
  const predictions = heads[head];
  const asking = question.head === head;
  const name = node.querySelector(".ask");
  const pressed = name === document.activeElement;
  node.classList.toggle("asking", asking);
  name.disabled = asking || !predictions;
  if (pressed && name.disabled) $(".stage[aria-pressed=true]").focus({ preventScroll: true }); // its maps have come
  node.querySelector(".statement").replaceChildren(statement(head));
  const rows = node.querySelector(".rows");
  if (!predictions) return rows.replaceChildren(html`<li class="absent soft">${say("absent", { head })}</li>`);
  const { target } = question;
  const known =
    predictions.some(p => p.index === target.index) || (target.index === null && target.label === statements?.[head]?.name);
  const shown = known ? predictions : [...predictions.slice(0, 4), { ...target, probability: belief[head] }];
  rows.replaceChildren(...shown.map((p, i) => html`<li class="${known || i < 4 ? "" : "beyond"}">${row(p)}</li>`));
}
/** Marks what is asked. @param {Klass} each */
function current(each) {
  return keyOf(each) === keyOf(state.answer.result.question.target) ? "aria-current=true" : null;
}
/** A class and its probability. Who has no pointer finds it in the search. @param {Klass & {probability: number}} p */
function row(p) {
  return html`<span class="row" data-class="${JSON.stringify(keyOf(p))}" ${current(p)}>
    <i style="--share:${p.probability}"></i><span>${bothNames(p)}</span><u>${percent(p.probability)}</u></span>`;
}
/** What a head can say truthfully: the most particular group or class that is probably right. @param {string} head @returns {string | Node} */
function statement(head) {
  const { heads, statements, question } = state.answer.result;
  const text = state.answer.words[language].cards[head];
  const said = statements?.[head];
  if (!text || !said) return heads[head] && statements ? words.nothing_sure : "";
  const [best] = heads[head] ?? [];
  const asked = said.classes === 1 ? best : { index: null, label: said.name };
  const shown = question.head === head ? current(asked) : null;
  return html`<span data-class="${JSON.stringify(keyOf(asked))}" ${shown}>${prose(text)}</span>`;
}

/** Move labels apart, in their order. @param {{y: number}[]} labels @param {number} least @param {number} bottom the lowest */
function spread(labels, least, bottom) {
  labels.sort((a, b) => a.y - b.y);
  for (let i = 1; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + least);
  let limit = bottom;
  for (let i = labels.length - 1; i >= 0; i--, limit -= least) labels[i].y = Math.min(labels[i].y, limit);
}

/** The slope chart: the asked class and up to five others over the three depths. @param {number} width @param {number} height */
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
  const { target, contrast } = state.answer.result.question;
  const role = (/** @type {Klass} */ c) =>
    keyOf(c) === keyOf(target) ? "asked" : contrast && keyOf(c) === keyOf(contrast) ? "rather" : "";
  const depths = heads.map(
    head => svg`<line x1="${x(head)}" x2="${x(head)}" y1="${top - 6}" y2="${bottom + 4}"/>
      <text class="head" x="${x(head) - 5}" y="${height - 4}">${words[head]}</text>`,
  );
  const levels = [0, 0.5, 1].map(
    p => svg`<line class="level" x1="${left}" x2="${width}" y1="${y(p)}" y2="${y(p)}"/>
      <text class="level" x="${left - 8}" y="${y(p) + 4}" text-anchor="end">${rounded(p)}</text>`,
  );
  const lines = classes.toReversed().map(each => {
    const name = role(each);
    const points = heads.map(head => [x(head), y(each.belief[head])]);
    const dots = points.map(([cx, cy]) => svg`<circle class="${name}" cx="${cx}" cy="${cy}" r="${name === "asked" ? 5 : 3}"/>`);
    return svg`<polyline class="${name}" points="${points.join(" ")}"/>${dots}`;
  });
  const told = classes.map(c => `${nameOf(c)}: ${heads.map(head => `${head} ${percent(c.belief[head])}`).join(", ")}`);
  const drawing = html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${`${words.by_depth}. ${told.join("; ")}`}">
    ${depths}${levels}${lines}</svg>`;
  root.replaceChildren(drawing);
  for (const head of heads) {
    const labels = classes.map(c => ({ ...c, p: c.belief[head], y: y(c.belief[head]) + 4 })).filter(c => role(c) || c.p > 0.04);
    spread(labels, size * 1.08, bottom + 4);
    for (const each of labels) {
      const [figure, label] = [percent(each.p), nameOf(each)];
      const text = svg`<text class="${role(each)}" x="${x(head) + 10}" y="${each.y}">${label} ${figure}</text>`;
      drawing.append(text);
      for (let letters = label.length - 1; letters > 1 && text.getComputedTextLength() > column - 16; letters--)
        text.textContent = `${label.slice(0, letters).trim()}… ${figure}`;
      text.append(svg`<title>${label} ${figure}</title>`);
      const box = text.getBBox(); // the lines pass behind the names
      text.before(svg`<rect x="${box.x - 2}" y="${box.y}" width="${box.width + 4}" height="${box.height}"/>`);
    }
  }
}

window.addEventListener("beforeprint", () => state.answer && slope(420, 300)); // its place on A4; the page still has the window's size
window.addEventListener("afterprint", repaint);
$(".slope").paint = () => slope();
subscribe(["answer"], () => {
  slope();
  HEADS.forEach(card);
});
