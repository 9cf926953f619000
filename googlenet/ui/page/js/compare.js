// @ts-check
// The tab "Compare": one answer is pinned beside the present one. And the visitor's last pictures, in this tab's memory alone.
import { askedName } from "./answer.js";
import { ask } from "./asking.js";
import { overlay, scaleOf } from "./drawing.js";
import { sourceName } from "./loading.js";
import { $, HEADS, LAST, make, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { addTab, showTab } from "./tabs.js";
import { percent, say, words } from "./words.js";

/** @type {Kept | null} */ let pinned = null;
/** @type {{key: string, question: Question, thumb: any}[]} */ const recent = [];
const RECENT = 6;

/** What a head gives to a class, as far as an answer says it. @param {Answer} answer @param {string} head @param {string} label */
function belief({ result, by_depth }, head, label) {
  const rows = result.heads[head] ?? [];
  const p = rows.find(row => row.label === label)?.probability ?? by_depth.find(row => row.label === label)?.belief[head];
  return p === undefined ? say("at_most", { share: percent(rows[rows.length - 1].probability) }) : percent(p);
}
/** One of two answers: its overlay of the stage, its question, and what its heads say, of the asked classes as well.
 * @param {Kept} of @param {string} stage @param {number} scale the brightest colour's value in both @param {string[]} labels */
function side(of, stage, scale, labels) {
  const { answer, weights } = of;
  const { question, heads, image } = answer.result;
  const says = HEADS.filter(head => heads[head]).map(head => {
    const best = /** @type {Prediction[]} */ (heads[head])[0].label;
    const shown = new Set([best, ...labels.filter(label => weights.labels.includes(label))]);
    const told = [...shown].map(label => make("span", { class: "together" }, label, make("u", {}, belief(answer, head, label))));
    return make("li", {}, make("span", { class: "soft" }, words[head]), ...told);
  });
  const { head } = question;
  const picture = overlay(stage, 320, of, scale);
  const about = { stage, class: askedName(of) };
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", say("stage_alt_none", { ...about, head }).split(":")[0]);
  const title = say("compare_title", { ...about, head: words[head], picture: image });
  const source = (weights.dataset || sourceName(weights.source)).split(",")[0];
  const parts = [make("b", {}, title), make("p", { class: "soft small" }, source), make("ul", {}, ...says)];
  return make("figure", {}, picture, make("figcaption", {}, ...parts));
}
/** Both, on one scale. @param {Kept} one @param {string} stage */
function sides(one, stage) {
  const both = [one, { ...state }].map(of => {
    const { head } = of.answer.result.question;
    return { of, name: of.answer.grids[stage] ? stage : LAST[head], label: of.answer.result.question.target.label };
  });
  const scale = scaleOf(both.map(({ of, name }) => of.answer.grids[name].sum));
  const labels = both.map(({ label }) => label);
  return make("div", { class: "sides" }, ...both.map(({ of, name }) => side(of, name, scale, labels)));
}

addTab({
  name: "compare",
  title: words.tab_compare,
  show(root, stage) {
    const focused = root.contains(document.activeElement);
    const pin = () => {
      pinned = pinned ? null : { ...state };
      showTab();
    };
    const button = make("button", { type: "button", class: "plain", onclick: pin }, pinned ? words.unpin : words.pin);
    const how = [make("p", { class: "soft" }, words.compare_how), button];
    root.replaceChildren(...(pinned ? [button, sides(pinned, stage)] : how));
    if (focused) button.focus();
  },
});

/** Keep the visitor's own picture among the last ones. */
function keepRecent() {
  const { answer, photo } = state;
  if (!answer.asked.path) return;
  const at = recent.findIndex(each => each.key === answer.picture);
  if (at >= 0) recent.splice(at, 1);
  const thumb = make("canvas", { width: 96, height: 96 });
  const edge = Math.min(photo.width, photo.height);
  const [x, y] = [(photo.width - edge) / 2, (photo.height - edge) / 2];
  thumb.getContext("2d").drawImage(photo, x, y, edge, edge, 0, 0, 96, 96);
  recent.unshift({ key: answer.picture, question: answer.asked, thumb });
  recent.splice(RECENT);
  $(".recent").replaceChildren(
    ...recent.map(each => {
      const name = each.key.split("/").pop() ?? "";
      return make(
        "button",
        { type: "button", "aria-label": say("recent_alt", { name }), title: name, onclick: () => ask(each.question) },
        each.thumb,
      );
    }),
  );
  $(".recent").hidden = recent.length < 2;
  rove($(".recent"));
}
$(".recent").setAttribute("aria-label", words.recent);
subscribe(["answer"], keepRecent);
