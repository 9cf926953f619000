// @ts-check
// The tab "Compare": one answer is pinned beside the present one. And the visitor's last pictures, in this tab's memory alone.

/** @typedef {{answer: any, photo: any, weights: any}} Kept */

/** @type {Kept | null} */ let pinned = null;
/** @type {{key: string, question: any, thumb: any}[]} */ const recent = [];
const RECENT = 6;

/** Draw as if another answer were the present one. @template T @param {Kept} kept @param {() => T} act @returns {T} */
function asIf(kept, act) {
  const now = { answer, photo, weights };
  ({ answer, photo, weights } = kept);
  try {
    return act();
  } finally {
    ({ answer, photo, weights } = now);
  }
}

/** One of two answers: its overlay of the stage, its question, and what its heads say. @param {string} stage */
function side(stage) {
  const { head } = answer.result.question;
  const name = answer.grids[stage] ? stage : LAST[head];
  const says = HEADS.filter((/** @type {string} */ each) => answer.result.heads[each]).map((/** @type {string} */ each) => {
    const [best] = answer.result.heads[each];
    return make("li", {}, make("span", { class: "soft" }, `${words[each]}: `), `${best.label} ${percent(best.probability)}`);
  });
  const picture = overlay(name, 320);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", say("stage_alt_none", { stage: name, head, class: askedName() }).split(":")[0]);
  const title = say("compare_title", { stage: name, class: askedName(), head: words[head], picture: answer.result.image });
  const source = (weights.dataset || sourceName(weights.source)).split(",")[0];
  const caption = make(
    "figcaption",
    {},
    make("b", {}, title),
    make("p", { class: "soft small" }, source),
    make("ul", {}, ...says),
  );
  return make("figure", {}, picture, caption);
}

tabs.add({
  name: "compare",
  title: words.tab_compare,
  show(root, stage) {
    const focused = root.contains(document.activeElement);
    const pin = () => {
      pinned = pinned ? null : { answer, photo, weights };
      tabs.show();
    };
    const button = make("button", { type: "button", class: "plain", onclick: pin }, pinned ? words.unpin : words.pin);
    const sides = pinned
      ? [
          make(
            "div",
            { class: "sides" },
            asIf(pinned, () => side(stage)),
            side(stage),
          ),
        ]
      : [];
    root.replaceChildren(...(pinned ? [] : [make("p", { class: "soft" }, words.compare_how)]), button, ...sides);
    if (focused) button.focus();
  },
});

/** Keep the visitor's own picture among the last ones. */
function keepRecent() {
  if (!answer.asked.path) return;
  const known = recent.findIndex(each => each.key === answer.picture);
  if (known >= 0) recent.splice(known, 1);
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
