// @ts-check
// The tab "Channels": the enlarged stage's evidence in six groups of channels that speak for the class at the same places and, one
// press deeper, the channels that speak most for it and against it. Each with what it looks for.
import { askedName, place } from "./answer.js";
import { request } from "./asking.js";
import { paint, scaleOf, unpack } from "./drawing.js";
import { $, html, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { addTab, showTab } from "./tabs.js";
import { branchName, percent, rounded, say, words } from "./words.js";

const LAST_PICTURES = 6;
const SOON = 200; // milliseconds: the walk passes nine stages in three seconds
/** What Python said of an answer, by what was asked: "asked", "failed" or its reply. @type {WeakMap<Answer, Record<string, any>>} */
const known = new WeakMap();
/** what is asked → the timer after which it is asked @type {Record<string, number>} */ const timers = {};
/** What is being drawn @type {{answer: Answer, key: string, share?: number, place?: number} | null} */ let drawing = null;

/** What is known of the painted answer. */
function repliesOf() {
  if (!known.has(state.answer)) known.set(state.answer, {});
  return /** @type {Record<string, any>} */ (known.get(state.answer));
}
/** The touched cell as [row, column]. */
function touchedCell() {
  const { w } = state.answer.grids[state.stage];
  return state.touched === null ? null : [Math.floor(state.touched / w), state.touched % w];
}
function channelsKey() {
  return `${state.stage} ${touchedCell() ?? ""}`;
}
/** Ask once the visitor stays at a stage or cell. @param {string} name of what is asked @param {() => void} act */
function askSoon(name, act) {
  const wait = () => {
    if (state.tab !== "channels") return;
    const pending = $(".page").classList.contains("busy"); // the painted answer is not the newest question's
    if (state.playing || pending) timers[name] = setTimeout(wait, 2 * SOON);
    else act();
  };
  clearTimeout(timers[name]);
  timers[name] = setTimeout(wait, SOON);
}
/** @param {any[]} list of channels or groups */
function unpacked(list) {
  return list.map(each => ({ ...each, grid: unpack(each.grid) }));
}
/** @param {any} reply to a question about channels */
function channelsOf({ channels }) {
  return { for: unpacked(channels.for), against: unpacked(channels.against), missing: channels.missing };
}
/** Ask for the enlarged stage's groups, again where their pictures have been drawn. */
async function askGroups() {
  const [{ stage }, replies] = [state, repliesOf()];
  if (typeof replies[stage] !== "object") replies[stage] = "asked";
  const reply = await request("groups", { stage });
  replies[stage] = reply ? { ...reply.groups, groups: unpacked(reply.groups.groups) } : "failed";
  showTab("channels");
}
/** Ask for the enlarged stage's channels. */
async function askChannels() {
  const [key, replies] = [channelsKey(), repliesOf()];
  if (replies[key] && replies[key] !== "failed") return;
  replies[key] = "asked";
  showTab("channels");
  const reply = await request("channels", { stage: state.stage, cell: touchedCell() });
  replies[key] = reply ? channelsOf(reply) : "failed";
  showTab("channels");
}
/** Have the pictures drawn that are missing, which takes seconds. */
async function drawMissing() {
  const [key, replies] = [channelsKey(), repliesOf()];
  const mine = { answer: state.answer, key };
  drawing = mine;
  showTab("channels");
  const reply = await request("draw", { stage: state.stage, cell: touchedCell() }, told => {
    Object.assign(mine, { place: 0 }, told);
    showTab("channels");
  });
  if (drawing === mine) drawing = null;
  if (!reply) return showTab("channels");
  replies[key] = channelsOf(reply);
  askGroups();
}
/** A button that has the missing pictures drawn, or how far that is. @param {{missing: boolean}} reply */
function drawButton({ missing }) {
  if (drawing?.answer === state.answer && drawing.key === channelsKey()) {
    const { share = 0, place: number } = drawing;
    return html`<p role="status">${number ? say("queue", { place: number }) : say("channels_drawing", { share: rounded(share) })}</p>`;
  }
  return missing ? html`<button type="button" class="plain draw" ${drawMissing}>${words.channels_draw}</button>` : "";
}
/** Where a map is strongest, in pixels of the picture. @param {Grid} grid @param {number[]} seen */
function peakOf({ h, w, top }, seen) {
  const [column, row] = [((top % w) + 0.5) / w, (Math.floor(top / w) + 0.5) / h];
  return [seen[0] + column * (seen[2] - seen[0]), seen[1] + row * (seen[3] - seen[1])];
}

/** A group: where it speaks, how much, and what its three strongest channels look for. @param {any} group @param {number} number */
function groupTile({ share, grid, channels }, number) {
  const peak = place(peakOf(grid, state.answer.result.seen));
  const label = say("group_alt", { number: number + 1, share: percent(share, true), class: askedName(), ...peak });
  const pictures = channels.map((/** @type {any} */ { channel, picture }) => {
    const title = say("group_channel", { channel, stage: state.stage });
    return picture
      ? html`<img src="${picture}" alt="${title}" title="${title}">`
      : html`<span class="undrawn" title="${title}"></span>`;
  });
  return html`<figure class="group"><span class="cell"><canvas role="img" aria-label="${label}"></canvas></span>
    <span class="three">${pictures}</span><figcaption><b>${percent(share)}</b></figcaption></figure>`;
}
/** @param {any} root @param {string} stage */
function showGroups(root, stage) {
  const reply = repliesOf()[stage];
  if (!reply) askSoon("groups", () => repliesOf()[state.stage] ?? askGroups());
  if (!reply || reply === "asked") {
    const tiles = Array.from({ length: 6 }, () => html`<span class="group undrawn"></span>`);
    return root.replaceChildren(html`<div class="groups">${tiles}</div>`);
  }
  if (reply === "failed") return root.replaceChildren(askAgain(stage, askGroups));
  const about = { stage, class: askedName(), share: percent(1 - reply.rest, true), rest: percent(reply.rest, true) };
  const tiles = reply.groups.map(groupTile);
  root.replaceChildren(html`<p>${say("groups_what", about)}</p><div class="groups">${tiles}</div>`, drawButton(reply));
  reply.groups.forEach((/** @type {any} */ { grid }, /** @type {number} */ i) => {
    paint(tiles[i].querySelector("canvas"), grid, grid.sum, scaleOf([grid.sum]));
  });
}
/** @param {string} stage @param {() => void} ask */
function askAgain(stage, ask) {
  return html`<button type="button" class="plain" ${ask}>${say("channels_start", { stage })}</button>`;
}

/** What is said of a channel. @param {any} channel */
function about({ channel, branch, share, peak }) {
  const way = share > 0 ? words.channel_for : words.channel_against;
  return { stage: state.stage, channel, branch: branchName(branch), way, class: askedName(), ...place(peak) };
}
/** A channel as a sentence. @param {any} channel */
function channelText(channel) {
  return say("channel_alt", { ...about(channel), share: percent(Math.abs(channel.share), true) });
}
/** What a channel looks for. @param {any} channel */
function channelPicture({ picture }) {
  return picture ? html`<img src="${picture}" alt="">` : html`<span class="undrawn"></span>`;
}
/** Where it fired: its own map, its strongest place the brightest. @param {any} canvas @param {any} channel */
function paintChannel(canvas, { share, grid }) {
  const values = share < 0 ? grid.sum.map((/** @type {number} */ v) => -v) : grid.sum;
  paint(canvas, grid, values, scaleOf([values]));
}
/** One channel: what it looks for, and where it fired. @param {any} channel */
function channelTile(channel) {
  const share = `${channel.share < 0 ? "−" : ""}${percent(Math.abs(channel.share))}`;
  const branch = branchName(channel.branch);
  const label = say("channel_label", { ...about(channel), name: `${share} ${branch} #${channel.channel}` });
  const press = () => openChannel(channel);
  return html`<button type="button" class="channel" data-channel="${channel.channel}" aria-label="${label}" ${press}>
    ${channelPicture(channel)}<span class="cell"><canvas aria-hidden="true"></canvas></span>
    <span class="name"><b>${share}</b> ${branch} <span class="soft">#${channel.channel}</span></span></button>`;
}
/** @param {any} root @param {string} stage */
function showChannels(root, stage) {
  const cell = touchedCell();
  const reply = repliesOf()[channelsKey()];
  if (!reply) askSoon("channels", askChannels);
  const at = [...root.querySelectorAll("button")].indexOf(document.activeElement);
  const parts = [html`<p>${cell ? say("channels_cell", { row: cell[0] + 1, column: cell[1] + 1 }) : words.channels_all}</p>`];
  /** @type {[any, any][]} each channel and its tile */ const tiles = [];
  const row = (/** @type {any[]} */ channels, /** @type {string} */ label) => {
    const nodes = channels.map(channelTile);
    nodes.forEach((node, i) => {
      tiles.push([channels[i], node]);
    });
    return html`<div class="channels" role="group" aria-label="${label}">${nodes}</div>`;
  };
  if (reply === "failed") parts.push(askAgain(stage, askChannels));
  else if (typeof reply === "object") {
    parts.push(row(reply.for, words.channels_for));
    if (reply.against.length) parts.push(html`<h3>${words.channels_against}</h3>`, row(reply.against, words.channels_against));
    parts.push(drawButton(reply));
  } else {
    const blank = () => html`<span class="channel"><span class="undrawn"></span><span class="undrawn"></span></span>`;
    parts.push(html`<div class="channels">${Array.from({ length: 5 }, blank)}</div>`);
  }
  root.replaceChildren(
    ...parts,
    html`<p class="soft">${say("channels_what", { stage, class: askedName() })}</p><p class="soft">${words.channels_picture}</p>`,
  );
  for (const channels of root.querySelectorAll("div.channels")) rove(channels);
  for (const [channel, node] of tiles) paintChannel(node.querySelector("canvas"), channel);
  if (at >= 0) [...root.querySelectorAll("button")].at(at)?.focus();
}

// A tile, large, with what the same channel does in the last pictures of this tab.

/** @type {Kept[]} */ const lastPictures = []; // of the painted weights, the newest first
const dialog = $(".large");
dialog.addEventListener("click", (/** @type {MouseEvent} */ event) => {
  if (event.target === dialog) dialog.close(); // beside it
});
dialog.addEventListener("close", () => {
  $(`#tab-channels [data-channel="${dialog.dataset.of}"]`)?.focus(); // the tile may have been drawn anew meanwhile
});

subscribe(["answer"], () => {
  const { answer, photo, weights } = state;
  const others = lastPictures.filter(each => each.weights === weights && each.answer.picture !== answer.picture);
  lastPictures.splice(0, lastPictures.length, { answer, photo, weights }, ...others.slice(0, LAST_PICTURES - 1));
});

/** @param {any} channel */
async function openChannel(channel) {
  const { stage } = state;
  const text = channelText(channel);
  const last = html`<div class="last"></div>`;
  dialog.replaceChildren(
    html`<h2 id="channel-title">${say("channel_title", about(channel))}</h2><p>${text}.</p>
      <div class="channels">
        <figure>${channelPicture(channel)}<figcaption>${words.channel_looks}</figcaption></figure>
        <figure><span class="cell"><canvas role="img" aria-label="${text}"></canvas></span>
          <figcaption>${say("channel_fired", { name: state.answer.result.image })}</figcaption></figure>
      </div>
      ${last}<button type="button" class="plain" ${() => dialog.close()}>${words.close}</button>`,
  );
  dialog.dataset.of = channel.channel;
  dialog.showModal();
  paintChannel(dialog.querySelector("canvas"), channel);
  const pictures = lastPictures.filter(each => each.weights === state.weights);
  if (pictures.length < 2) return last.replaceChildren(html`<p class="soft">${words.channel_last_none}</p>`);
  const firings = [];
  for (const kept of pictures) {
    const reply = await request("firing", { stage, channel: channel.channel }, undefined, kept.answer); // one by one: others ask too
    if (reply) firings.push({ kept, ...reply.firing, grid: unpack(reply.firing.grid) });
    if (!last.isConnected) return; // another tile is open
  }
  showFirings(last, firings);
}
/** The last pictures, the lit places where a channel fires, in per cent of the strongest. @param {any} root @param {any[]} firings */
function showFirings(root, firings) {
  const top = Math.max(1e-12, ...firings.map(each => each.most));
  const figures = firings.map(({ kept, most, grid }) => {
    const { seen, image } = kept.answer.result;
    const share = most <= 0 ? "0\u00a0%" : most === top ? "100\u00a0%" : percent(Math.min(most / top, 0.9949));
    const peak = place(peakOf(grid, seen), kept);
    const text = most > 0 ? say("channel_last_alt", { name: image, share, ...peak }) : say("channel_silent", { name: image });
    return html`<figure><span class="cell"><canvas role="img" aria-label="${text}"></canvas></span>
      <figcaption aria-hidden="true">${share}</figcaption></figure>`;
  });
  root.replaceChildren(
    html`<h3>${words.channel_last}</h3><div class="row-of-last">${figures}</div><p class="soft">${words.channel_last_how}</p>`,
  );
  firings.forEach(({ kept, grid }, i) => {
    paint(figures[i].querySelector("canvas"), grid, grid.sum, top, kept);
  });
}
addTab({
  name: "channels",
  title: words.tab_channels,
  show(_, stage) {
    showGroups($(".channel-groups"), stage);
    if ($(".single").open) showChannels($(".single-channels"), stage);
  },
});
$(".single").addEventListener("toggle", () => showTab("channels"));
