// @ts-check
// In the tab "Channels": the enlarged stage's evidence in six groups of channels that speak for the class at the same places.
import { askedName, place } from "./answer.js";
import { request } from "./asking.js";
import { paint, scaleOf, unpack } from "./drawing.js";
import { $, make } from "./page.js";
import { state } from "./store.js";
import { showTab } from "./tabs.js";
import { percent, say, words } from "./words.js";

/** What Python said of an answer, by stage: "asked", "failed" or its groups. @type {WeakMap<Answer, Record<string, any>>} */
const known = new WeakMap();
/** who asks → the timer after which it asks @type {Record<string, number>} */ const timers = {};

/** Ask once the visitor stays at a stage or cell: the walk passes nine of them in three seconds.
 * @param {string} name of what is asked @param {() => void} act */
export function askSoon(name, act) {
  clearTimeout(timers[name]);
  const wait = () => {
    if (state.tab !== "channels") return;
    const pending = $(".page").classList.contains("busy"); // the painted answer is not the newest question's
    if (state.playing || pending) timers[name] = setTimeout(wait, 400);
    else act();
  };
  timers[name] = setTimeout(wait, 200);
}
/** Where a map is strongest, in pixels of the picture. @param {Grid} grid @param {number[]} seen */
export function peakOf({ h, w, top }, seen) {
  const [column, row] = [((top % w) + 0.5) / w, (Math.floor(top / w) + 0.5) / h];
  return [seen[0] + column * (seen[2] - seen[0]), seen[1] + row * (seen[3] - seen[1])];
}
/** Ask for the enlarged stage's groups, again where their pictures have been drawn. */
export async function askGroups() {
  const { answer, stage } = state;
  const found = known.get(answer) ?? {};
  known.set(answer, found);
  if (typeof found[stage] !== "object") found[stage] = "asked";
  const reply = await request("groups", { stage });
  found[stage] = reply
    ? { ...reply.groups, groups: reply.groups.groups.map((/** @type {any} */ each) => ({ ...each, grid: unpack(each.grid) })) }
    : "failed";
  showTab("channels");
}
/** A group: where it speaks, how much, and what its three strongest channels look for. @param {any} group @param {number} number */
function tile({ share, grid, channels }, number) {
  const canvas = make("canvas", { role: "img" });
  const about = { number: number + 1, share: percent(share, true), class: askedName() };
  canvas.setAttribute("aria-label", say("group_alt", { ...about, ...place(peakOf(grid, state.answer.result.seen)) }));
  const pictures = channels.map((/** @type {any} */ { channel, picture }) => {
    const title = say("group_channel", { channel, stage: state.stage });
    return picture ? make("img", { src: picture, alt: title, title }) : make("span", { class: "undrawn", title });
  });
  const node = make(
    "figure",
    { class: "group" },
    make("span", { class: "cell" }, canvas),
    make("span", { class: "three" }, ...pictures),
    make("figcaption", {}, make("b", {}, percent(share))),
  );
  return { node, paint: () => paint(canvas, grid, grid.sum, scaleOf([grid.sum])) };
}
/** @param {any} root @param {string} stage @param {() => void} draw what has the missing pictures drawn */
export function showGroups(root, stage, draw) {
  const found = known.get(state.answer)?.[stage];
  if (!found || found === "asked") {
    if (!found) askSoon("groups", () => known.get(state.answer)?.[state.stage] ?? askGroups());
    return root.replaceChildren(
      make("div", { class: "groups" }, ...Array.from({ length: 6 }, () => make("span", { class: "group undrawn" }))),
    );
  }
  if (found === "failed")
    return root.replaceChildren(
      make("button", { type: "button", class: "plain", onclick: askGroups }, say("channels_start", { stage })),
    );
  const tiles = found.groups.map(tile);
  const about = { stage, class: askedName(), share: percent(1 - found.rest, true), rest: percent(found.rest, true) };
  root.replaceChildren(
    make("p", {}, say("groups_what", about)),
    make("div", { class: "groups" }, ...tiles.map((/** @type {any} */ each) => each.node)),
    ...(found.missing ? [make("button", { type: "button", class: "plain draw", onclick: draw }, words.channels_draw)] : []),
  );
  for (const each of tiles) each.paint();
}
