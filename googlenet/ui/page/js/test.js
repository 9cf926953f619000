// The tab "Test": does the answer hang on the bright places? A part of the picture is covered; or the whole map tested, for seconds.
import { find, finding, request } from "./asking.js";
import { mapCell, paint } from "./drawing.js";
import { addTab, cellFrames, markCell, pointed, showTab } from "./enlarged.js";
import { $, HEADS, html, on, put } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { helpMark, nameOf, percent, proseOf, say, words } from "./words.js";

/** @type {number[] | null} */ let from = null; // where a drag began
let dragged = false; // whether the pointer that went up last had drawn a box

/** The square around a cell that holds the light: at least a quarter of what was seen, each way. @param {number} cell */
function around(cell) {
  const { own } = cellFrames(cell);
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const [wide, high] = [Math.max(own[2] - own[0], (x1 - x0) / 4), Math.max(own[3] - own[1], (y1 - y0) / 4)];
  const left = Math.min(x1 - wide, Math.max(x0, (own[0] + own[2] - wide) / 2));
  const top = Math.min(y1 - high, Math.max(y0, (own[1] + own[3] - high) / 2));
  return [left, top, left + wide, top + high];
}

/** The covered part of the painted answer and the enlarged stage. */
const covered = () => finding("cover", { stage: state.stage });
/** @param {number[]} box */
async function cover(box) {
  mark(box);
  showTab();
  const part = covered();
  const reply = await request("cover", { box, stage: state.stage });
  if (part.box !== box) return;
  Object.assign(part, { box: reply ? box : null, reply });
  markCell();
  showTab("test");
}
/** Show a box. @param {number[]} box in pixels of the picture */
function mark(box) {
  Object.assign(covered(), { box, reply: null });
  markCell();
}

/** The heads' probabilities before and after. @param {any} reply */
function coverTable({ before, after, control_after: random, controls }) {
  const titles = [words.cover_before, words.cover_after, say("cover_random", { count: controls.length })];
  const bar = (/** @type {number | undefined} */ p, /** @type {number} */ i) =>
    html`<td><span class="bar"><i style="width:${(p ?? 0) * 100}%" class="${i === 1 ? "asked" : ""}"></i></span>
      ${p === undefined ? null : percent(p)}</td>`;
  const rows = HEADS.filter(head => head in before).map(
    head => html`<tr><th scope="row">${words[head]}</th>${[before, after, random].map(p => p[head]).map(bar)}</tr>`,
  );
  return html`<table><thead><tr><td></td>${titles.map(text => html`<th scope="col">${text}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`;
}

function showCover() {
  const { box, reply } = covered();
  const offer = (/** @type {string} */ text, /** @type {number} */ cell) =>
    html`<button type="button" class="plain" ${() => cover(around(cell))}>${text}</button>`;
  const buttons = [offer(words.cover_brightest, state.answer.grids[state.stage].top)];
  if (state.touched !== null) buttons.push(offer(words.cover_touched, state.touched));
  const told = reply ? proseOf(reply.cover.say) : box ? words.working : "";
  $(".near").textContent = told || words.cover_how; // on a narrow screen the tab lies far below the picture
  put(
    $("#tab-cover"),
    html`<p class="soft cover-how">${words.cover_how} ${helpMark("cover")}</p><div class="together">${buttons}</div>
      ${told && html`<p class="${reply ? "cover-say" : ""}" role="status">${told}</p>`}${reply && coverTable(reply.cover)}`,
  );
}

on(".big", "pointerdown", event => {
  dragged = false;
  if (state.tab !== "test" || !state.answer || event.button) return;
  from = pointed(event);
  $(".big").setPointerCapture(event.pointerId);
});
on(".big", "pointermove", event => {
  if (!from) return;
  const to = pointed(event);
  const least = (state.answer.result.seen[2] - state.answer.result.seen[0]) * 0.03;
  if (Math.abs(to[0] - from[0]) < least || Math.abs(to[1] - from[1]) < least) return;
  dragged = true;
  mark([Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])]);
});
on(".big", "pointerup pointercancel", ({ type }) => {
  const { box } = covered();
  if (type === "pointerup" && from && dragged && box) cover(box);
  from = null;
});
// a drag ends with a click, which touches no cell
$(".big").addEventListener("click", (/** @type {MouseEvent} */ event) => dragged && event.preventDefault(), true);

subscribe(["tab"], () => {
  $(".page").classList.toggle("covering", state.tab === "test"); // a finger then draws, and does not scroll
  if (state.tab !== "test") $(".near").textContent = "";
});

/** The area under a curve over evenly spaced steps. @param {number[]} curve */
function area(curve) {
  return curve.slice(1).reduce((sum, p, i) => sum + (p + curve[i]) / 2, 0) / (curve.length - 1);
}

/** Two curves in one chart: in the map's order and in random order.
 * @param {string} title @param {string} across @param {number[]} own @param {number[]} random @param {number} top */
function trustChart(title, across, own, random, top) {
  const at = (/** @type {number} */ p, /** @type {number} */ i) => `${(i / (own.length - 1)) * 100},${60 - (p / top) * 58}`;
  const path = (/** @type {number[]} */ curve) => curve.map(at).join(" ");
  const { target } = state.answer.result.question; // the curves are its probability, with a contrast too
  const values = { title, class: nameOf(target), own: percent(area(own), true), random: percent(area(random), true) };
  return html`<figure><figcaption>${title}</figcaption>
    <div role="img" class="chart" aria-label="${say("trust_chart_alt", values)}">
      <svg viewBox="0 0 100 60" preserveAspectRatio="none" aria-hidden="true"><line x1="0" x2="100" y1="60" y2="60"/>
        <polyline points="${path(random)}" class="random"/><polyline points="${path(own)}" class="own"/></svg></div>
    <div class="axis soft small" aria-hidden="true"><span>0 %</span><span>${across}</span><span>100 %</span></div></figure>`;
}

/** A map over its name. @param {string} name @param {Grid} grid */
function trustMap(name, grid) {
  return html`<figure>${mapCell(name, canvas => paint(canvas, grid))}<figcaption>${name}</figcaption></figure>`;
}

/** What was measured of the enlarged stage on this picture. @param {any} test */
function trustFound({ deletion, insertion, random_deletion, random_insertion, randomised, say: sentence }) {
  const { stage, answer } = state;
  const top = Math.max(0.01, ...deletion, ...insertion, ...random_deletion, ...random_insertion);
  return [
    html`<p class="trust-say" role="status" tabindex="-1">${proseOf(sentence)}</p>`,
    html`<div class="trust-found">${trustChart(words.trust_deletion, words.trust_hidden, deletion, random_deletion, top)}
      ${trustChart(words.trust_insertion, words.trust_shown, insertion, random_insertion, top)}
      ${trustMap(say("trust_own", { stage }), answer.grids[stage])}${trustMap(words.trust_randomised, randomised)}</div>`,
    html`<p class="key soft small"><span>${say("trust_axis", { class: nameOf(answer.result.question.target), top: percent(top, true) })}</span>
      <span><i class="own"></i>${words.trust_order_own}</span><span><i class="random"></i>${words.trust_order_random}</span></p>`,
  ];
}

/** the newest test @type {Finding} */ let tested = {};
/** What was measured once for these weights, of the enlarged stage and the asked head; and on this picture. */
function showTrust() {
  const { answer, stage, weights } = state;
  const { head, method } = answer.result.question;
  const known = weights.trust[method]?.[head]?.[stage];
  const { reply, meter } = finding("trust", { stage });
  const measure = () => {
    set({ playing: false });
    if (tested.meter?.querySelector("progress").value === 0) tested.meter.querySelector("button").click(); // at most one waits
    tested = finding("trust", { stage: state.stage });
    find("trust", { stage: state.stage }, () => showTab("test"), say("trust_running", { stage: state.stage }));
  };
  const start = () => html`<button type="button" class="plain" ${measure}>${say("trust_start", { stage })}</button>`;
  put(
    $("#tab-trust"),
    html`<p class="trust-known">${known ? proseOf(known) : words.trust_unknown} ${helpMark("centre")}</p>`,
    ...(reply ? trustFound(reply.trust) : [html`<p class="soft">${words.trust_how}</p>`, meter ?? start()]),
  );
}

addTab("test", {
  show() {
    showCover();
    showTrust();
  },
  frames() {
    const { box, reply } = covered();
    const controls = (reply?.cover.controls ?? []).map((/** @type {number[]} */ other) => ({ box: other, class: "other" }));
    return box ? [{ box, class: "covered" }, ...controls] : [];
  },
});
