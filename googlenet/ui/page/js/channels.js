// @ts-check
// The tab "Channels": which channels of the enlarged stage speak most for the class and against it, and what they look for.

/** What Python said of the painted answer, by stage and cell. @type {Record<string, any>} */ let channelsOf = {};
let channelsAnswer = 0; // the number of that answer
/** The key that Python was asked about, and did not answer yet @type {string | null} */ let channelsAsked = null;
/** The keys whose question failed, which is not asked again by itself @type {Set<string>} */ const channelsFailed = new Set();
let channelsTimer = 0; // asks when the visitor has stayed for a moment
/** What is being drawn @type {{n: number, key: string, progress: number, waiting: number} | null} */ let drawing = null;

tabs.add({ name: "channels", title: words.tab_channels, show: showChannels });

/** @param {string} stage @param {number[] | null} cell row and column */
function channelsKey(stage, cell) {
  return `${stage} ${cell ?? ""}`;
}
/** The touched cell as [row, column]. */
function touchedCell() {
  const { w } = answer.grids[stage];
  return touched === null ? null : [Math.floor(touched / w), touched % w];
}
/** Ask for the enlarged stage's channels. @param {boolean} draw whether pictures that are missing are drawn, which takes seconds */
function askChannels(draw) {
  const cell = touchedCell();
  const key = channelsKey(stage, cell);
  channelsFailed.delete(key);
  if (draw) drawing = { n: asked, key, progress: 0, waiting: 0 };
  else channelsAsked = key;
  request("expand", { stage, cell, draw });
  tabs.show();
}
/** Ask once the visitor stays at a stage or cell: the walk passes nine of them in three seconds. */
function askChannelsSoon() {
  clearTimeout(channelsTimer);
  const wait = () => {
    if (tabs.current !== "channels" || !answer) return;
    const key = channelsKey(stage, touchedCell());
    if (channelsOf[key] || channelsFailed.has(key) || channelsAsked === key) return;
    const pending = $(".page").classList.contains("busy"); // the painted answer is not the newest question's
    if (playing || pending) channelsTimer = setTimeout(wait, 400);
    else askChannels(false);
  };
  channelsTimer = setTimeout(wait, 200);
}
receivers.channels = message => {
  const { channels: found, n } = message;
  if (n !== asked) return;
  const key = channelsKey(found.stage, found.cell);
  if (found.for) {
    const unpacked = (/** @type {any} */ each) => ({ ...each, grid: unpack(each.grid) });
    channelsOf[key] = { for: found.for.map(unpacked), against: found.against.map(unpacked), missing: found.missing };
    if (channelsAsked === key) channelsAsked = null;
    if (drawing?.key === key && !found.missing) drawing = null;
  } else if (drawing) drawing = { ...drawing, waiting: 0, ...found };
  if (tabs.current === "channels") tabs.show();
};
const errorsBefore = receivers.error;
receivers.error = message => {
  if (firings.has(message.n)) return firings.get(message.n)(null);
  if (message.n === asked && (channelsAsked || drawing)) {
    channelsFailed.add(channelsAsked ?? drawing?.key ?? "");
    channelsAsked = drawing = null;
  }
  return errorsBefore(message);
};

/** A channel as a sentence. @param {any} found */
function channelText(found) {
  return say("channel_alt", {
    stage,
    channel: found.channel,
    branch: branchName(found.branch),
    share: percent(Math.abs(found.share), true),
    way: found.share > 0 ? words.channel_for : words.channel_against,
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
  const node = make(
    "button",
    {
      type: "button",
      class: "channel",
      "data-channel": found.channel,
      "aria-label": channelText(found),
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

/** @param {any} root */
function showChannels(root) {
  if (channelsAnswer !== asked) {
    [channelsOf, channelsAnswer, channelsAsked] = [{}, asked, null];
    channelsFailed.clear();
  }
  if (drawing && drawing.n !== asked) drawing = null;
  const cell = touchedCell();
  const key = channelsKey(stage, cell);
  const found = channelsOf[key];
  if (!found) askChannelsSoon();
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
  } else if (channelsFailed.has(key))
    parts.push(
      make("button", { type: "button", class: "plain", onclick: () => askChannels(false) }, say("channels_start", { stage })),
    );
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
  if (drawing?.key === key) {
    const share = `${Math.round((drawing.progress ?? 0) * 100)}\u00a0%`;
    const text = drawing.waiting ? say("queue", { place: drawing.waiting }) : say("channels_drawing", { share });
    parts.push(make("p", { role: "status" }, text));
  } else if (found?.missing)
    parts.push(make("button", { type: "button", class: "plain draw", onclick: () => askChannels(true) }, words.channels_draw));
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
/** request → what to do with its answer, or with null where it failed @type {Map<number, any>} */ const firings = new Map();
let firingNumber = 0; // counts down: these questions are none of the page's own
const channelDialog = make("dialog", { class: "shoot large", "aria-labelledby": "channel-title" });
$(".page").append(channelDialog);
channelDialog.addEventListener("click", (/** @type {MouseEvent} */ event) => {
  if (event.target === channelDialog) channelDialog.close(); // beside it
});
channelDialog.addEventListener("close", () => {
  $(`#tab-channels [data-channel="${channelDialog.dataset.of}"]`)?.focus(); // the tile may have been drawn anew meanwhile
});

const answersBefore = receivers.answer;
receivers.answer = async message => {
  await answersBefore(message);
  if (!answer || !photo) return;
  const kept = { answer, photo, weights };
  const others = lastPictures.filter(each => each.weights === weights && each.answer.picture !== answer.picture);
  lastPictures.splice(0, lastPictures.length, kept, ...others.slice(0, RECENT - 1));
};

/** Where a channel fires in a kept picture: its map and its largest value; null where that cannot be said.
 * @param {Kept} kept @param {string} stage @param {number} channel @returns {Promise<any>} */
function firing(kept, stage, channel) {
  const n = --firingNumber;
  return new Promise(done => {
    firings.set(n, done);
    post("expand", { ...kept.answer.asked, n, stage, channel });
  }).finally(() => firings.delete(n));
}
receivers.firing = message => firings.get(message.n)?.({ ...message.firing, grid: unpack(message.firing.grid) });

/** @param {any} found */
async function openChannel(found) {
  const about = { stage, channel: found.channel, branch: branchName(found.branch), name: answer.result.image };
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
  const pictures = lastPictures.filter(each => each.weights === weights);
  if (pictures.length < 2) return last.replaceChildren(make("p", { class: "soft" }, words.channel_last_none));
  const fired = [];
  for (const kept of pictures) {
    fired.push({ kept, ...(await firing(kept, about.stage, about.channel)) }); // one after the other: others ask too
    if (!last.isConnected) return; // another tile is open
  }
  showFirings(
    last,
    fired.filter(each => each.grid),
  );
}
/** The last pictures, the lit places where a channel fires, in per cent of the strongest. @param {any} root @param {any[]} fired */
function showFirings(root, fired) {
  const top = Math.max(1e-12, ...fired.map(each => each.most));
  const made = fired.map(each => {
    const { seen, image } = each.kept.answer.result;
    const { h, w, top: cell } = each.grid;
    const [column, row] = [((cell % w) + 0.5) / w, (Math.floor(cell / w) + 0.5) / h];
    const peak = [seen[0] + column * (seen[2] - seen[0]), seen[1] + row * (seen[3] - seen[1])];
    const share = percent(Math.min(each.most / top, 0.9949));
    const shown = each.most === top ? "100\u00a0%" : share;
    const text =
      each.most > 0
        ? say("channel_last_alt", { name: image, share: shown, ...asIf(each.kept, () => place(peak)) })
        : say("channel_silent", { name: image });
    const canvas = make("canvas", { role: "img", "aria-label": text });
    return {
      node: make(
        "figure",
        {},
        make("span", { class: "cell" }, canvas),
        make("figcaption", { "aria-hidden": "true" }, each.most > 0 ? shown : "0\u00a0%"),
      ),
      paint: () => asIf(each.kept, () => paint(canvas, each.grid, each.grid.sum, top)),
    };
  });
  root.replaceChildren(
    make("h3", {}, words.channel_last),
    make("div", { class: "row-of-last" }, ...made.map(each => each.node)),
    make("p", { class: "soft" }, words.channel_last_how),
  );
  for (const each of made) each.paint();
}
