// @ts-check
// The tab "Test": whether the answer hangs on the places that the map shows bright. A part of the picture is covered, and the
// network is asked again; or the whole map is tested, which takes seconds.
import { askedName } from "./answer.js";
import { request } from "./asking.js";
import { paint, scaleOf, unpack } from "./drawing.js";
import { cellFrames, markCell, pointed } from "./enlarged.js";
import { knownTrust } from "./evidence.js";
import { helpMark } from "./help.js";
import { $, HEADS, html } from "./page.js";
import { set, state, subscribe } from "./store.js";
import { addTab, showTab } from "./tabs.js";
import { percent, proseOf, rounded, say, words } from "./words.js";

/** @typedef {{box: number[], answer: Answer, stage: string, reply: any}} Cover what is covered, and what Python said of it */
/** @type {Cover | null} */ let newest = null;
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
function covered() {
  return newest?.answer === state.answer && newest?.stage === state.stage ? newest : null;
}
/** @param {number[]} box */
async function cover(box) {
  const mine = mark(box);
  showTab();
  const reply = await request("cover", { box, stage: mine.stage });
  if (newest !== mine) return;
  if (reply) mine.reply = reply.cover;
  else newest = null;
  markCell();
  showTab("test");
}
/** Show a box. @param {number[]} box in pixels of the picture @returns {Cover} */
function mark(box) {
  newest = { box, answer: state.answer, stage: state.stage, reply: null };
  markCell();
  return newest;
}

/** A head's probability before and after. @param {string} head @param {any} reply */
function coverRow(head, { before, after, control_after: random }) {
  const bars = [before, after, random].map(
    (p, i) => html`<td><span class="bar"><i style="width:${(p[head] ?? 0) * 100}%" class="${i === 1 ? "asked" : ""}"></i></span>
      ${head in p ? percent(p[head]) : null}</td>`,
  );
  return html`<tr><th scope="row">${words[head]}</th>${bars}</tr>`;
}

/** On a narrow screen the tab lies far below the picture: what to do and what came of it stand under the picture. */
function near() {
  const part = covered();
  const text = part?.reply ? proseOf(part.reply.say) : part ? words.working : words.cover_how;
  $(".near").textContent = state.tab === "test" ? text : "";
}

/** @param {any} root */
function showCover(root) {
  const { touched } = state;
  const offer = (/** @type {string} */ text, /** @type {number} */ cell) =>
    html`<button type="button" class="plain" ${() => cover(around(cell))}>${text}</button>`;
  const buttons = [offer(words.cover_brightest, state.answer.grids[state.stage].top)];
  if (touched !== null) buttons.push(offer(words.cover_touched, touched));
  const at = [...root.querySelectorAll("button.plain")].indexOf(document.activeElement);
  const part = covered();
  near();
  root.replaceChildren(
    html`<p class="soft cover-how">${words.cover_how} ${helpMark("cover")}</p><div class="together">${buttons}</div>`,
  );
  if (part && !part.reply) root.append(html`<p role="status">${words.working}</p>`);
  if (part?.reply) {
    const { before, controls, say: sentence } = part.reply;
    const titles = [words.cover_before, words.cover_after, say("cover_random", { count: controls.length })];
    const rows = HEADS.filter(head => head in before).map(head => coverRow(head, part.reply));
    root.append(
      html`<p class="cover-say" role="status">${proseOf(sentence)}</p>
        <table><thead><tr><td></td>${titles.map(text => html`<th scope="col">${text}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`,
    );
  }
  buttons[at]?.focus();
}

const big = $(".big");
big.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
  dragged = false;
  if (state.tab !== "test" || !state.answer || event.button) return;
  from = pointed(event);
  big.setPointerCapture(event.pointerId);
});
big.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
  if (!from) return;
  const to = pointed(event);
  const least = (state.answer.result.seen[2] - state.answer.result.seen[0]) * 0.03;
  if (Math.abs(to[0] - from[0]) < least || Math.abs(to[1] - from[1]) < least) return;
  dragged = true;
  mark([Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]), Math.max(from[1], to[1])]);
});
big.addEventListener("pointerup", () => {
  const part = covered();
  if (from && dragged && part) cover(part.box);
  from = null;
});
big.addEventListener("pointercancel", () => {
  from = null;
});
// a drag ends with a click, which touches no cell
big.addEventListener("click", (/** @type {MouseEvent} */ event) => dragged && event.preventDefault(), true);

/** What it draws on the enlarged stage. @returns {Cell[]} */
function coverFrames() {
  const part = covered();
  if (!part) return [];
  const controls = (part.reply?.controls ?? []).map((/** @type {number[]} */ box) => ({ box, class: "other" }));
  return [{ box: part.box, class: "covered" }, ...controls];
}
subscribe(["tab"], () => {
  $(".page").classList.toggle("covering", state.tab === "test"); // a finger then draws, and does not scroll
  if (state.tab !== "test") $(".near").textContent = "";
});

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
  const values = { title, class: askedName(), own: percent(area(own), true), random: percent(area(random), true) };
  return html`<figure><figcaption>${title}</figcaption>
    <div role="img" class="chart" aria-label="${say("trust_chart_alt", values)}">
      <svg viewBox="0 0 100 60" preserveAspectRatio="none" aria-hidden="true"><line x1="0" x2="100" y1="60" y2="60"/>
        <polyline points="${path(random)}" class="random"/><polyline points="${path(own)}" class="own"/></svg></div>
    <div class="axis soft small" aria-hidden="true"><span>0 %</span><span>${across}</span><span>100 %</span></div></figure>`;
}

/** A map over its name. @param {string} name */
function trustMap(name) {
  return html`<figure><span class="cell"><canvas role="img" aria-label="${name}"></canvas></span><figcaption>${name}</figcaption></figure>`;
}

/** What is being measured, and how far it is. */
function runningText() {
  const { place, share, stage } = measuring ?? { place: 0, share: 0, stage: "" };
  return place ? say("queue", { place }) : say("trust_running", { stage, share: rounded(share) });
}

/** Show what was measured of the enlarged stage on this picture. @param {any} root @param {any} test */
function showTest(root, test) {
  const { stage } = state;
  const { deletion, insertion, random_deletion, random_insertion } = test;
  const top = Math.max(0.01, ...deletion, ...insertion, ...random_deletion, ...random_insertion);
  const charts = [
    trustChart(words.trust_deletion, words.trust_hidden, deletion, random_deletion, top),
    trustChart(words.trust_insertion, words.trust_shown, insertion, random_insertion, top),
  ];
  const maps = [say("trust_own", { stage }), words.trust_randomised].map(trustMap);
  root.append(
    html`<p class="trust-say" role="status" tabindex="-1">${proseOf(test.say)}</p><div class="trust-found">${charts}${maps}</div>
      <p class="key soft small"><span>${say("trust_axis", { class: askedName(), top: percent(top, true) })}</span>
        <span><i class="own"></i>${words.trust_order_own}</span><span><i class="random"></i>${words.trust_order_random}</span></p>`,
  );
  [state.answer.grids[stage], test.grid].forEach((grid, i) => {
    paint(maps[i].querySelector("canvas"), grid, grid.sum, scaleOf([grid.sum]));
  });
}

/** @param {any} root @param {string} stage */
function showTrust(root, stage) {
  if (measuring?.answer !== state.answer) measuring = null;
  const running = root.querySelector("progress");
  if (measuring && running?.dataset.of === stage) {
    running.value = measuring.share;
    running.previousElementSibling.textContent = runningText();
    return;
  }
  const focused = root.contains(document.activeElement);
  const test = measured.get(state.answer)?.[stage];
  root.replaceChildren(html`<p class="trust-known">${knownTrust()} ${helpMark("centre")}</p>`);
  if (test) showTest(root, test);
  else root.append(html`<p class="soft">${words.trust_how}</p>`);
  if (measuring)
    root.append(
      html`<p role="status" tabindex="-1">${runningText()}</p><progress max="1" value="${measuring.share}" data-of="${stage}"
        aria-label="${words.trust_progress}"></progress>`,
    );
  else if (!test)
    root.append(html`<button type="button" class="plain" ${measureTrust}>${say("trust_start", { stage })}</button>`);
  if (focused) root.querySelector(".plain, [tabindex]").focus();
}

addTab({
  name: "test",
  title: words.tab_test,
  show(_, stage) {
    showCover($("#tab-cover"));
    showTrust($("#tab-trust"), stage);
  },
  frames: coverFrames,
});
