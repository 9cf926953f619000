// @ts-check
// The answer in words: the headline, how far to believe it, what the heads say in one line, and where the evidence lies.
import { painted, repaint } from "./answer.js";
import { ask } from "./asking.js";
import { helpMark } from "./help.js";
import { $, HEADS, html, LAST, svg } from "./page.js";
import { state, subscribe } from "./store.js";
import { suggest } from "./weights.js";
import { bothNames, keyOf, language, nameOf, percent, prose, rounded, say, words } from "./words.js";

/** All of it as one text. */
export function said() {
  const { headline, record, heads, place } = state.answer.words[language];
  return prose([headline.join(""), record, heads, place].filter(Boolean).join(" "));
}
/** Say it. */
export function sentence() {
  const { headline, record, heads, place } = state.answer.words[language];
  const parts = headline.map((part, i) => (i % 2 ? html`<b class="asked">${part}</b>` : prose(part)));
  $(".say .headline").replaceChildren(...parts);
  for (const [name, text] of Object.entries({ "how-often": record, "by-heads": heads, place })) {
    const line = $(`.say .${name}`);
    line.textContent = prose(text ?? "");
    line.hidden = !text;
  }
  if (!state.answer.unlikely) return;
  $(".say .headline").append(" ", helpMark("unlikely"));
  suggest($(".say .headline"));
}
subscribe(["answer"], sentence);

// What the three heads say: a card for each, and the classes' probabilities by depth.

for (const head of HEADS) {
  const after = `${head} · ${say("after", { stage: LAST[head] })}`;
  const node = html`<div class="card" data-head="${head}">
      <h2><button type="button" class="ask"><span>${words[head]}</span><span class="soft">${after}</span></button></h2>
      <ul class="rows"></ul><p class="statement soft small"></p></div>`;
  node.addEventListener("click", (/** @type {any} */ event) => press(head, event.target));
  $(".cards").append(node);
}

/** A press on a card asks its head: about the class or group that was pressed, else about the class that is asked now.
 * @param {string} head @param {Element} node */
function press(head, node) {
  const { answer, wanted } = state;
  const name = $(`.card[data-head="${head}"] .ask`);
  const { klass } = /** @type {any} */ (node.closest("[data-class]")) ?? {};
  if (!answer?.result.heads[head] || (name.disabled && !klass)) return;
  if (!name.disabled) name.focus({ preventScroll: true });
  const target = klass ? keyOf(klass) : wanted.target;
  ask({ ...wanted, head, target, contrast: wanted.contrast === target ? null : wanted.contrast });
}

/** A head's four or five most probable classes and the asked one. @param {string} head */
function card(head) {
  const node = $(`.card[data-head="${head}"]`);
  const rows = node.querySelector(".rows");
  const predictions = state.answer.result.heads[head];
  const { target, head: asking } = state.answer.result.question;
  node.classList.toggle("asking", asking === head);
  const name = node.querySelector(".ask");
  const pressed = name === document.activeElement;
  name.disabled = asking === head || !predictions;
  if (!predictions) {
    rows.replaceChildren(html`<li class="absent soft">${say("absent", { head })}</li>`);
    return statement(node, head);
  }
  const said = state.answer.result.statements?.[head]?.name;
  const known = predictions.some(p => p.index === target.index) || (target.index === null && target.label === said);
  const probability = state.answer.result.belief[head];
  /** @type {(Klass & {probability: number, beyond?: boolean})[]} */
  const shown = known ? predictions : [...predictions.slice(0, 4), { ...target, probability, beyond: true }];
  rows.replaceChildren(
    ...shown.map(p => html`<li class="${p.beyond ? "beyond" : ""}">${row(p, asking === head, keyOf(p) === keyOf(target))}</li>`),
  );
  if (pressed && name.disabled) $(".stage[aria-pressed=true]").focus({ preventScroll: true }); // its maps have come
  statement(node, head);
}
/** A class and its probability. The pointer presses it; who has none finds the class in the search, the likeliest first.
 * @param {Klass & {probability: number}} p @param {boolean} asking @param {boolean} shown */
function row(p, asking, shown) {
  const line = html`<span class="row" data-class="${keyOf(p)}" ${shown ? "aria-current=true" : null}>
    <i style="--share:${p.probability}"></i><span>${bothNames(p)}</span><u>${percent(p.probability)}</u></span>`;
  return Object.assign(line, { klass: asking && shown ? null : p });
}
/** What a head can say truthfully, under its card: the most particular group or class that is probably right. A press shows its
 * maps. @param {any} node @param {string} head */
function statement(node, head) {
  const text = state.answer.words[language].cards[head];
  const said = state.answer.result.statements?.[head];
  const line = node.querySelector(".statement");
  if (!text || !said) {
    line.replaceChildren(state.answer.result.heads[head] && state.answer.result.statements ? words.nothing_sure : "");
    return;
  }
  const [best] = state.answer.result.heads[head] ?? [];
  const single = said.classes === 1; // the card's first row, whose probability stands there
  const asked = single ? best : { index: null, label: said.name };
  const { target, head: asking } = state.answer.result.question;
  const shown = asking === head && keyOf(target) === keyOf(asked);
  const name = single ? nameOf(best) : prose(text);
  const saying = html`<span data-class="${keyOf(asked)}" ${shown ? "aria-current=true" : null}>${name}</span>`;
  line.replaceChildren(Object.assign(saying, { klass: asking === head && shown ? null : asked }));
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
  const drawing = html`<svg viewBox="0 0 ${width} ${height}" role="img"></svg>`;
  for (const head of heads) {
    drawing.append(
      svg`<line class="depth" x1="${x(head)}" x2="${x(head)}" y1="${top - 6}" y2="${bottom + 4}"/>
        <text class="head" x="${x(head) - 5}" y="${height - 4}">${words[head]}</text>`,
    );
  }
  for (const p of [0, 0.5, 1]) {
    drawing.append(
      svg`<line class="level" x1="${left}" x2="${width}" y1="${y(p)}" y2="${y(p)}"/>
        <text class="level" x="${left - 8}" y="${y(p) + 4}" text-anchor="end">${rounded(p)}</text>`,
    );
  }
  const { target, contrast } = state.answer.result.question;
  const role = (/** @type {Klass} */ c) =>
    keyOf(c) === keyOf(target) ? "asked" : contrast && keyOf(c) === keyOf(contrast) ? "rather" : "";
  for (const each of [...classes].reverse()) {
    const points = heads.map(head => `${x(head)},${y(each.belief[head])}`).join(" ");
    const name = role(each);
    drawing.append(svg`<polyline class="${name}" points="${points}"/>`);
    for (const head of heads)
      drawing.append(svg`<circle class="${name}" cx="${x(head)}" cy="${y(each.belief[head])}" r="${name === "asked" ? 5 : 3}"/>`);
  }
  root.replaceChildren(drawing);
  for (const head of heads) {
    const labels = classes.map(c => ({ ...c, p: c.belief[head], y: y(c.belief[head]) + 4 })).filter(c => role(c) || c.p > 0.04);
    spread(labels, size * 1.08, bottom + 4);
    for (const each of labels) {
      const { p, y: at } = each;
      const [figure, label] = [percent(p), nameOf(each)];
      const text = svg`<text class="${role(each)}" x="${x(head) + 10}" y="${at}">${label} ${figure}</text>`;
      drawing.append(text);
      shorten(text, label, figure, column - 16);
      text.append(svg`<title>${label} ${figure}</title>`);
      const box = text.getBBox(); // the lines pass behind the names
      text.before(svg`<rect x="${box.x - 2}" y="${box.y}" width="${box.width + 4}" height="${box.height}"/>`);
    }
  }
  const told = classes.map(c => `${nameOf(c)}: ${heads.map(head => `${head} ${percent(c.belief[head])}`).join(", ")}`);
  drawing.setAttribute("aria-label", `${words.by_depth}. ${told.join("; ")}`);
}

window.addEventListener("beforeprint", () => state.answer && slope(420, 300)); // its place on A4; the page still has the window's size
window.addEventListener("afterprint", repaint);
painted(() => slope());
subscribe(["answer"], () => HEADS.forEach(card));
