// The tab "Channels": the stage's evidence in six groups of channels and, one press deeper, those that speak most for and against.
import { askedName, lastPictures, place } from "./answer.js";
import { find, finding, findSoon, request } from "./asking.js";
import { mapCell, paint } from "./drawing.js";
import { addTab, rowAndColumn, showTab } from "./enlarged.js";
import { $, $$, html, on, paintIn, put, rove } from "./page.js";
import { state } from "./store.js";
import { branchName, percent, say, words } from "./words.js";

const LAST_PICTURES = 6;

/** The touched cell as [row, column]. */
const touchedCell = () => (state.touched === null ? null : rowAndColumn(state.touched));
/** What is asked about: the stage's groups, or the channels of the stage or of the touched cell. @param {string} name */
function fieldsOf(name) {
  return name === "groups" ? { stage: state.stage } : { stage: state.stage, cell: touchedCell() };
}
const showAll = () => showTab("channels");
/** Have the pictures drawn that are missing, which takes seconds. */
async function drawMissing() {
  const channels = finding("channels", fieldsOf("channels"));
  const drawn = finding("draw", fieldsOf("channels"));
  await find("draw", fieldsOf("channels"), showAll, words.channels_drawing);
  if (!drawn.reply) return;
  channels.reply = drawn.reply;
  find("groups", fieldsOf("groups"), showAll);
}
/** A button that has the missing pictures drawn, or how far that is. @param {{missing: number}} reply */
function drawButton({ missing }) {
  const button = missing ? html`<button type="button" class="plain" ${drawMissing}>${words.channels_draw}</button>` : "";
  return finding("draw", fieldsOf("channels")).meter ?? button;
}
/** @param {"groups" | "channels"} name */
function askAgain(name) {
  return html`<button type="button" class="plain" ${() => find(name, fieldsOf(name), showAll)}>${say("channels_start", { stage: state.stage })}</button>`;
}
/** Where a map is strongest, in per cent of the picture. @param {Grid} grid @param {Kept} of */
function peakOf({ h, w, top }, of = state) {
  const [x0, y0, x1, y1] = of.answer.result.seen;
  const [column, row] = [((top % w) + 0.5) / w, (Math.floor(top / w) + 0.5) / h];
  return place([x0 + column * (x1 - x0), y0 + row * (y1 - y0)], of);
}

/** A group: where it speaks, how much, and what its three strongest channels look for. @param {any} group @param {number} number */
function groupTile({ share, grid, channels }, number) {
  const { stage } = state;
  const about = { number: number + 1, share: percent(share, true), class: askedName(), ...peakOf(grid) };
  const pictures = channels.map((/** @type {any} */ { channel, picture }) =>
    lookedFor(picture, say("group_channel", { channel, stage })),
  );
  return html`<figure class="group">${mapCell(say("group_alt", about), canvas => paint(canvas, grid))}
    <span class="three">${pictures}</span><figcaption><b>${percent(share)}</b></figcaption></figure>`;
}
function showGroups() {
  const { reply, failed } = findSoon("groups", fieldsOf("groups"), showAll);
  const root = $(".channel-groups");
  if (!reply) {
    const blank = Array.from({ length: 6 }, () => html`<span class="group undrawn"></span>`);
    return put(root, failed ? askAgain("groups") : html`<div class="groups">${blank}</div>`);
  }
  const { rest, groups } = reply.groups;
  const against = state.answer.result.question.method === "layer-cam" ? "" : say("groups_against", { rest: percent(rest, true) });
  const what = html`<p>${say("groups_what", { stage: state.stage, class: askedName() })} ${against}</p>`;
  put(root, what, html`<div class="groups">${groups.map(groupTile)}</div>`, drawButton(reply.groups));
}

/** What is said of a channel. @param {any} channel */
function about({ channel, branch, share, peak }) {
  const way = share > 0 ? words.channel_for : words.channel_against;
  return { stage: state.stage, channel, branch: branchName(branch), way, class: askedName(), ...place(peak) };
}
/** What a channel looks for. @param {string | null} picture null where it is not drawn yet @param {string} title */
function lookedFor(picture, title = "") {
  return picture
    ? html`<img src="${picture}" alt="${title}" title="${title}">`
    : html`<span class="undrawn" title="${title}"></span>`;
}
/** Where a channel fired: its own map, its strongest place the brightest. @param {any} channel @param {string | null} alt */
function firedAt({ share, grid }, alt) {
  return mapCell(alt, canvas => paint(canvas, grid, share < 0 ? grid.sum.map((/** @type {number} */ v) => -v) : grid.sum));
}
/** One channel: what it looks for, and where it fired. @param {any} channel */
function channelTile(channel) {
  const share = `${channel.share < 0 ? "−" : ""}${percent(Math.abs(channel.share))}`;
  const branch = branchName(channel.branch);
  const label = say("channel_label", { ...about(channel), name: `${share} ${branch} #${channel.channel}` });
  return html`<button type="button" class="channel" data-channel="${channel.channel}" aria-label="${label}" ${() => openChannel(channel)}>
    ${lookedFor(channel.picture)}${firedAt(channel, null)}
    <span class="name"><b>${share}</b> ${branch} <span class="soft">#${channel.channel}</span></span></button>`;
}
function showChannels() {
  const cell = touchedCell();
  const { reply, failed } = findSoon("channels", fieldsOf("channels"), showAll);
  const about = { stage: state.stage, class: askedName() };
  const tiles = (/** @type {any[]} */ channels, /** @type {string} */ label) =>
    html`<div class="channels" role="group" aria-label="${label}">${channels.map(channelTile)}</div>`;
  const blank = () => html`<span class="channel"><span class="undrawn"></span><span class="undrawn"></span></span>`;
  let found = failed ? askAgain("channels") : html`<div class="channels">${Array.from({ length: 5 }, blank)}</div>`;
  if (reply) {
    const { for: pro, against } = reply.channels;
    found = html`${tiles(pro, words.channels_for)}${against.length ? html`<h3>${words.channels_against}</h3>` : ""}
      ${against.length ? tiles(against, words.channels_against) : ""}${drawButton(reply.channels)}`;
  }
  put(
    $(".single-channels"),
    html`<p>${cell ? say("channels_cell", { row: cell[0] + 1, column: cell[1] + 1 }) : words.channels_all}</p>${found}
      <p class="soft">${say("channels_what", about)}</p><p class="soft">${words.channels_picture}</p>`,
  );
  for (const row of $$(".single-channels div.channels")) rove(row);
}

// A tile, large, with what the same channel does in the last pictures of this tab.

const dialog = $(".large");
on(".large", "click", ({ target }) => target === dialog && dialog.close()); // beside it
on(".large", "close", () => {
  $(`#tab-channels [data-channel="${dialog.dataset.of}"]`)?.focus(); // the tile may have been drawn anew meanwhile
});

/** @param {any} channel */
async function openChannel(channel) {
  const { stage } = state;
  const text = say("channel_alt", { ...about(channel), share: percent(Math.abs(channel.share), true) });
  const last = html`<div class="last"></div>`;
  dialog.dataset.of = channel.channel;
  dialog.replaceChildren(
    html`<h2 id="channel-title">${say("channel_title", about(channel))}</h2><p>${text}.</p>
      <div class="channels">
        <figure>${lookedFor(channel.picture)}<figcaption>${words.channel_looks}</figcaption></figure>
        <figure>${firedAt(channel, text)}<figcaption>${say("channel_fired", { name: state.answer.result.image })}</figcaption></figure></div>
      ${last}<button type="button" class="plain" ${() => dialog.close()}>${words.close}</button>`,
  );
  dialog.showModal();
  paintIn(dialog);
  const pictures = lastPictures.filter(each => each.weights.chosen === state.weights.chosen).slice(0, LAST_PICTURES);
  if (pictures.length < 2) return put(last, html`<p class="soft">${words.channel_last_none}</p>`);
  const firings = [];
  for (const kept of pictures) {
    const reply = await request("firing", { stage, channel: channel.channel }, kept.answer); // one by one: others ask too
    if (reply) firings.push({ kept, ...reply.firing });
    if (!last.isConnected) return; // another tile is open
  }
  showFirings(last, firings);
}
/** The last pictures, the lit places where a channel fires, in per cent of the strongest. @param {any} root @param {any[]} firings */
function showFirings(root, firings) {
  const top = Math.max(1e-12, ...firings.map(each => each.most));
  const figures = firings.map(({ kept, most, grid }) => {
    const name = kept.answer.result.image;
    const share = most <= 0 ? "0\u00a0%" : most === top ? "100\u00a0%" : percent(Math.min(most / top, 0.9949));
    const text = most > 0 ? say("channel_last_alt", { name, share, ...peakOf(grid, kept) }) : say("channel_silent", { name });
    const cell = mapCell(text, canvas => paint(canvas, grid, grid.sum, top, kept));
    return html`<figure>${cell}<figcaption aria-hidden="true">${share}</figcaption></figure>`;
  });
  put(
    root,
    html`<h3>${words.channel_last}</h3><div class="row-of-last">${figures}</div><p class="soft">${words.channel_last_how}</p>`,
  );
}

function show() {
  showGroups();
  if ($(".single").open) showChannels();
}
addTab("channels", { show });
on(".single", "toggle", () => showTab("channels"));
