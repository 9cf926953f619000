// @ts-check
// The tab "Channels": which channels of the enlarged stage speak most for the class and against it, and what they look for.

/** What Python said of the painted answer, by stage and cell. @type {Record<string, any>} */ let channelsOf = {};
let channelsAnswer = 0; // the number of that answer
/** What is being asked @type {{n: number, key: string, progress: number, waiting: number} | null} */ let drawingChannels = null;

tabs.add({ name: "channels", title: words.tab_channels, show: showChannels });

function channelsKey() {
  return `${stage} ${touched ?? ""}`;
}
function askChannels() {
  stopPlaying();
  const { w } = answer.grids[stage];
  const cell = touched === null ? null : [Math.floor(touched / w), touched % w];
  drawingChannels = { n: asked, key: channelsKey(), progress: 0, waiting: 0 };
  request("expand", { stage, cell });
  tabs.show();
}
receivers.channels = message => {
  const { channels, n } = message;
  if (n !== asked || !drawingChannels) return;
  const { key } = drawingChannels;
  drawingChannels = { ...drawingChannels, waiting: 0, ...channels };
  if (channels.for) {
    const unpacked = (/** @type {any} */ found) => ({ ...found, grid: unpack(found.grid) });
    channelsOf[key] = { for: channels.for.map(unpacked), against: channels.against.map(unpacked) };
    if (channels.progress === null) drawingChannels = null;
  }
  if (tabs.current === "channels") tabs.show();
};
const errorsBefore = receivers.error;
receivers.error = message => {
  if (drawingChannels?.n === message.n) drawingChannels = null;
  return errorsBefore(message);
};

/** One channel: what it looks for, and where it fired. @param {any} found */
function channelTile(found) {
  const text = say("channel_alt", {
    stage,
    channel: found.channel,
    branch: branchName(found.branch),
    share: percent(Math.abs(found.share), true),
    way: found.share > 0 ? words.channel_for : words.channel_against,
    class: askedName(),
    ...place(found.peak),
  });
  const canvas = make("canvas", { role: "img", "aria-label": text });
  const made = found.picture ? make("img", { src: found.picture, alt: "" }) : make("span", { class: "drawing" });
  const share = `${found.share < 0 ? "−" : ""}${percent(Math.abs(found.share))}`;
  const figure = make(
    "figure",
    { class: "channel" },
    made,
    make("span", { class: "cell" }, canvas),
    make(
      "figcaption",
      {},
      make("b", {}, share),
      ` ${branchName(found.branch)} `,
      make("span", { class: "soft" }, `#${found.channel}`),
    ),
  );
  const values = found.share < 0 ? found.grid.sum.map((/** @type {number} */ v) => -v) : found.grid.sum;
  return { figure, paint: () => paint(canvas, found.grid, values, scaleOf([values])) };
}

/** @param {any} root */
function showChannels(root) {
  if (channelsAnswer !== asked) [channelsOf, channelsAnswer] = [{}, asked];
  if (drawingChannels && drawingChannels.n !== asked) drawingChannels = null;
  const focused = root.contains(document.activeElement);
  const found = channelsOf[channelsKey()];
  const parts = [make("p", { class: "soft" }, say("channels_what", { stage, class: askedName() }))];
  const { w } = answer.grids[stage];
  const where =
    touched === null ? words.channels_all : say("channels_cell", { row: Math.floor(touched / w) + 1, column: (touched % w) + 1 });
  parts.push(make("p", {}, where));
  const button = make("button", { type: "button", class: "plain", onclick: askChannels }, say("channels_start", { stage }));
  button.disabled = !!drawingChannels;
  if (!found) parts.push(button);
  if (drawingChannels) {
    const share = `${Math.round((drawingChannels.progress ?? 0) * 100)}\u00a0%`;
    const text = drawingChannels.waiting ? say("queue", { place: drawingChannels.waiting }) : say("channels_drawing", { share });
    parts.push(make("p", { role: "status" }, text));
  }
  const tiles = found ? [...found.for.map(channelTile), ...found.against.map(channelTile)] : [];
  if (found) {
    const figures = tiles.map(tile => tile.figure);
    const count = found.for.length;
    parts.push(make("div", { class: "channels" }, ...figures.slice(0, count)));
    if (found.against.length)
      parts.push(make("h3", {}, words.channels_against), make("div", { class: "channels" }, ...figures.slice(count)));
  }
  root.replaceChildren(...parts);
  for (const tile of tiles) tile.paint();
  if (focused && !found && !button.disabled) button.focus();
}
