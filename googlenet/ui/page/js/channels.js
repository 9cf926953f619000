// @ts-check
// The tab "Channels": in groups and, one press deeper, which channels of the enlarged stage speak most for the class and against it, and what they look for.
import { askedName, place } from "./answer.js";
import { request } from "./asking.js";
import { paint, scaleOf, unpack } from "./drawing.js";
import { askGroups, askSoon, peakOf, showGroups } from "./groups.js";
import { $, make, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { addTab, showTab } from "./tabs.js";
import { branchName, percent, rounded, say, words } from "./words.js";

const LAST_PICTURES = 6;
/** What Python said of an answer, by stage and cell: "asked", "failed" or its channels.
 * @type {WeakMap<Answer, Record<string, any>>} */
const known = new WeakMap();
/** What is being drawn @type {{answer: Answer, key: string, share?: number, place?: number} | null} */ let drawing = null;

/** What is known of the painted answer. */
function channelsOf() {
  if (!known.has(state.answer)) known.set(state.answer, {});
  return /** @type {Record<string, any>} */ (known.get(state.answer));
}
/** The touched cell as [row, column]. */
function touchedCell() {
  const { w } = state.answer.grids[state.stage];
  return state.touched === null ? null : [Math.floor(state.touched / w), state.touched % w];
}
function currentKey() {
  return `${state.stage} ${touchedCell() ?? ""}`;
}
/** @param {any} reply @returns {any} */
function unpacked({ channels }) {
  const each = (/** @type {any} */ channel) => ({ ...channel, grid: unpack(channel.grid) });
  return { for: channels.for.map(each), against: channels.against.map(each), missing: channels.missing };
}
/** Ask for the enlarged stage's channels. */
async function askChannels() {
  const [key, found] = [currentKey(), channelsOf()];
  if (found[key] && found[key] !== "failed") return;
  found[key] = "asked";
  showTab("channels");
  const reply = await request("channels", { stage: state.stage, cell: touchedCell() });
  found[key] = reply ? unpacked(reply) : "failed";
  showTab("channels");
}
/** Have the pictures drawn that are missing, which takes seconds. */
async function drawMissing() {
  const [key, found] = [currentKey(), channelsOf()];
  const mine = { answer: state.answer, key };
  drawing = mine;
  showTab("channels");
  const reply = await request("draw", { stage: state.stage, cell: touchedCell() }, told => {
    Object.assign(mine, { place: 0 }, told);
    showTab("channels");
  });
  if (drawing === mine) drawing = null;
  if (!reply) return showTab("channels");
  found[key] = unpacked(reply);
  askGroups();
}
/** @param {any} found */
function wayOf(found) {
  return found.share > 0 ? words.channel_for : words.channel_against;
}
/** A channel as a sentence. @param {any} found */
function channelText(found) {
  return say("channel_alt", {
    stage: state.stage,
    channel: found.channel,
    branch: branchName(found.branch),
    share: percent(Math.abs(found.share), true),
    way: wayOf(found),
    class: askedName(),
    ...place(found.peak),
  });
}
/** What a channel looks for. @param {any} found */
function channelPicture(found) {
  return found.picture ? make("img", { src: found.picture, alt: "" }) : make("span", { class: "undrawn" });
}
/** Where it fired: its own map, its strongest place the brightest. @param {any} canvas @param {any} found */
function paintChannel(canvas, found) {
  const values = found.share < 0 ? found.grid.sum.map((/** @type {number} */ v) => -v) : found.grid.sum;
  paint(canvas, found.grid, values, scaleOf([values]));
}
/** One channel: what it looks for, and where it fired. @param {any} found */
function channelTile(found) {
  const canvas = make("canvas", { "aria-hidden": "true" });
  const share = `${found.share < 0 ? "−" : ""}${percent(Math.abs(found.share))}`;
  const name = `${share} ${branchName(found.branch)} #${found.channel}`;
  const label = say("channel_label", { name, way: wayOf(found), class: askedName(), ...place(found.peak) });
  const node = make(
    "button",
    {
      type: "button",
      class: "channel",
      "data-channel": found.channel,
      "aria-label": label,
      onclick: () => openChannel(found),
    },
    channelPicture(found),
    make("span", { class: "cell" }, canvas),
    make(
      "span",
      { class: "name" },
      make("b", {}, share),
      ` ${branchName(found.branch)} `,
      make("span", { class: "soft" }, `#${found.channel}`),
    ),
  );
  return { node, paint: () => paintChannel(canvas, found) };
}

/** @param {any} root @param {string} stage */
function showChannels(root, stage) {
  const cell = touchedCell();
  const key = currentKey();
  const status = channelsOf()[key];
  const found = typeof status === "object" ? status : null;
  if (!status) askSoon("channels", askChannels);
  const focus = /** @type {any} */ (document.activeElement);
  const at = root.contains(focus) ? [...root.querySelectorAll("button")].indexOf(focus) : -1;
  const parts = [make("p", {}, cell ? say("channels_cell", { row: cell[0] + 1, column: cell[1] + 1 }) : words.channels_all)];
  const tiles = found ? [...found.for.map(channelTile), ...found.against.map(channelTile)] : [];
  if (found) {
    const nodes = tiles.map(tile => tile.node);
    const count = found.for.length;
    parts.push(make("div", { class: "channels", role: "group", "aria-label": words.channels_for }, ...nodes.slice(0, count)));
    if (found.against.length)
      parts.push(
        make("h3", {}, words.channels_against),
        make("div", { class: "channels", role: "group", "aria-label": words.channels_against }, ...nodes.slice(count)),
      );
  } else if (status === "failed")
    parts.push(make("button", { type: "button", class: "plain", onclick: askChannels }, say("channels_start", { stage })));
  else
    parts.push(
      make(
        "div",
        { class: "channels" },
        ...Array.from({ length: 5 }, () =>
          make("span", { class: "channel" }, make("span", { class: "undrawn" }), make("span", { class: "undrawn" })),
        ),
      ),
    );
  if (drawing?.answer === state.answer && drawing.key === key) {
    const { share = 0, place: number } = drawing;
    const text = number ? say("queue", { place: number }) : say("channels_drawing", { share: rounded(share) });
    parts.push(make("p", { role: "status" }, text));
  } else if (found?.missing)
    parts.push(make("button", { type: "button", class: "plain draw", onclick: drawMissing }, words.channels_draw));
  parts.push(
    make("p", { class: "soft" }, say("channels_what", { stage, class: askedName() })),
    make("p", { class: "soft" }, words.channels_picture),
  );
  root.replaceChildren(...parts);
  for (const row of root.querySelectorAll("div.channels")) rove(row);
  for (const tile of tiles) tile.paint();
  if (at >= 0) [...root.querySelectorAll("button")].at(at)?.focus();
}

// A tile, large, with what the same channel does in the last pictures of this tab.

/** @type {Kept[]} */ const lastPictures = []; // of the painted weights, the newest first
const channelDialog = make("dialog", { class: "shoot large", "aria-labelledby": "channel-title" });
$(".page").append(channelDialog);
channelDialog.addEventListener("click", (/** @type {MouseEvent} */ event) => {
  if (event.target === channelDialog) channelDialog.close(); // beside it
});
channelDialog.addEventListener("close", () => {
  $(`#tab-channels [data-channel="${channelDialog.dataset.of}"]`)?.focus(); // the tile may have been drawn anew meanwhile
});

subscribe(["answer"], () => {
  const { answer, photo, weights } = state;
  const others = lastPictures.filter(each => each.weights === weights && each.answer.picture !== answer.picture);
  lastPictures.splice(0, lastPictures.length, { answer, photo, weights }, ...others.slice(0, LAST_PICTURES - 1));
});

/** @param {any} found */
async function openChannel(found) {
  const { stage } = state;
  const about = { stage, channel: found.channel, branch: branchName(found.branch), name: state.answer.result.image };
  const canvas = make("canvas", { role: "img", "aria-label": channelText(found) });
  const last = make("div", { class: "last" });
  const figure = (/** @type {any} */ node, /** @type {string} */ text) => make("figure", {}, node, make("figcaption", {}, text));
  channelDialog.replaceChildren(
    make("h2", { id: "channel-title" }, say("channel_title", about)),
    make("p", {}, `${channelText(found)}.`),
    make(
      "div",
      { class: "channels" },
      figure(channelPicture(found), words.channel_looks),
      figure(make("span", { class: "cell" }, canvas), say("channel_fired", about)),
    ),
    last,
    make("button", { type: "button", class: "plain", onclick: () => channelDialog.close() }, words.close),
  );
  channelDialog.dataset.of = found.channel;
  channelDialog.showModal();
  paintChannel(canvas, found);
  const pictures = lastPictures.filter(each => each.weights === state.weights);
  if (pictures.length < 2) return last.replaceChildren(make("p", { class: "soft" }, words.channel_last_none));
  const fired = [];
  for (const kept of pictures) {
    const reply = await request("firing", { stage, channel: found.channel }, undefined, kept.answer); // one by one: others ask too
    if (reply) fired.push({ kept, ...reply.firing, grid: unpack(reply.firing.grid) });
    if (!last.isConnected) return; // another tile is open
  }
  showFirings(last, fired);
}
/** The last pictures, the lit places where a channel fires, in per cent of the strongest. @param {any} root @param {any[]} fired */
function showFirings(root, fired) {
  const top = Math.max(1e-12, ...fired.map(each => each.most));
  const made = fired.map(each => {
    const { seen, image } = each.kept.answer.result;
    const share = percent(Math.min(each.most / top, 0.9949));
    const shown = each.most === top ? "100\u00a0%" : share;
    const text =
      each.most > 0
        ? say("channel_last_alt", { name: image, share: shown, ...place(peakOf(each.grid, seen), each.kept) })
        : say("channel_silent", { name: image });
    const canvas = make("canvas", { role: "img", "aria-label": text });
    return {
      node: make(
        "figure",
        {},
        make("span", { class: "cell" }, canvas),
        make("figcaption", { "aria-hidden": "true" }, each.most > 0 ? shown : "0\u00a0%"),
      ),
      paint: () => paint(canvas, each.grid, each.grid.sum, top, each.kept),
    };
  });
  root.replaceChildren(
    make("h3", {}, words.channel_last),
    make("div", { class: "row-of-last" }, ...made.map(each => each.node)),
    make("p", { class: "soft" }, words.channel_last_how),
  );
  for (const each of made) each.paint();
}
const single = $(".single");
addTab({
  name: "channels",
  title: words.tab_channels,
  show(_, stage) {
    showGroups($(".channel-groups"), stage, drawMissing);
    if (single.open) showChannels($(".single-channels"), stage);
  },
});
single.addEventListener("toggle", () => showTab("channels"));
