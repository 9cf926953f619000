// @ts-check
// The answer in words: the headline, how far to believe it, what the heads say in one line, and where the evidence lies.
import { helpMark } from "./help.js";
import { $, make } from "./page.js";
import { state, subscribe } from "./store.js";
import { suggest } from "./weights.js";
import { language, prose } from "./words.js";

/** All of it as one text. */
export function said() {
  const { headline, record, heads, place } = state.answer.words[language];
  return prose([headline.join(""), record, heads, place].filter(Boolean).join(" "));
}
/** Say it. */
export function sentence() {
  const { headline, record, heads, place } = state.answer.words[language];
  const parts = headline.map((part, i) => (i % 2 ? make("b", { class: "asked" }, part) : prose(part)));
  $(".say .headline").replaceChildren(...parts);
  for (const [name, text] of Object.entries({ "how-often": record, "by-heads": heads, place })) {
    const line = $(`.say .${name}`);
    line.textContent = prose(text ?? "");
    line.hidden = !text;
  }
  if (!state.answer.unlikely) return;
  $(".say .headline").append(" ", helpMark("unlikely"));
  suggest($(".say .headline"));
}
subscribe(["answer"], sentence);
