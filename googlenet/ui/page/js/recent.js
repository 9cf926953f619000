// @ts-check
// The visitor's last pictures, in this tab's memory alone.
import { ask } from "./asking.js";
import { $, make, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { say, words } from "./words.js";

/** @type {{key: string, question: Question, thumb: any}[]} */ const recent = [];
const RECENT = 6;

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
  $(".recent").hidden = !recent.length;
  rove($(".recent"));
}
$(".recent").setAttribute("aria-label", words.recent);
subscribe(["answer"], keepRecent);
