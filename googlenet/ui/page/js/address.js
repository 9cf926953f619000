// The address: a question about an example is a link, and the browser's Back goes to the question before.
import { ask, askWith } from "./asking.js";
import { call } from "./call.js";
import { remember } from "./memory.js";
import { $, pause, props } from "./page.js";
import { state, subscribe } from "./store.js";
import { words } from "./words.js";

const OWN = ["example", "head", "class", "contrast", "method", "weights"];

/** The link's query, with what else the address held; null for a visitor's own picture. @returns {string | null} */
function query() {
  const { answer, weights } = state;
  const { example } = answer.asked;
  if (!example) return null;
  const { head, target, contrast, method } = answer.result.question;
  /** A class's label, or its index where two classes share the label. @param {any} c */
  const name = c => (weights.labels.filter(label => label === c.label).length > 1 ? `${c.index}` : c.label);
  const asked = state.guessing && answer.likeliest[0].index === target.index ? null : name(target); // which is being guessed
  const own = [example, head, asked, contrast && name(contrast), method !== "grad-cam" && method, weights.chosen];
  const search = others();
  OWN.forEach((key, i) => {
    if (own[i]) search.set(key, own[i]);
  });
  return `?${search}`;
}
function others() {
  const search = new URLSearchParams(location.search);
  for (const name of OWN) search.delete(name);
  return search;
}
/** Put the answer's question into the address and into the browser's history. */
subscribe(["answer", "guessing"], () => {
  const own = others();
  const url = location.pathname + (query() ?? (own.size ? `?${own}` : ""));
  const now = { question: state.answer.asked };
  const before = history.state?.question;
  if (state.back) history.replaceState(now, "");
  else if (!before || JSON.stringify(before) === JSON.stringify(now.question)) history.replaceState(now, "", url);
  else history.pushState(now, "", url);
  remember(); // a reload asks this again only at this address
});
window.addEventListener("popstate", event => {
  const question = event.state?.question;
  if (question?.weights === state.weights.chosen && !state.load) ask(question, true);
  else if (question) askWith(question, question.weights, true);
});
/** The question of the address; null where it holds none. */
export function fromAddress() {
  const asked = Object.fromEntries([...new URLSearchParams(location.search)].filter(([, value]) => value));
  if (!OWN.some(name => asked[name])) return null;
  const { example = props.examples[0].name, head = "main", method = "grad-cam", weights = null } = asked;
  return { example, head, method, weights, target: asked.class ?? null, contrast: asked.contrast ?? null };
}
/** The link that opens this question for others; null for a visitor's own picture. In a frame it is the outer page's. */
export function link() {
  const search = query();
  if (search === null) return null;
  if (window.top !== window) {
    try {
      const outer = /** @type {Window} */ (window.top).location;
      return outer.origin + outer.pathname + search;
    } catch {
      if (props.space) return props.space + search;
    }
  }
  return location.origin + location.pathname + search;
}

// The link as a QR code: for the paper, and for the room where the page is presented.

const IDLE = 1500; // milliseconds: a visitor's next question goes first

subscribe(["answer"], async () => {
  const { answer } = state;
  const url = link();
  $(".qr").hidden = true;
  await pause(IDLE);
  if (!url || state.answer !== answer) return;
  const reply = await call("qr", { link: url }).catch(() => null); // the page goes on without it
  if (!reply || state.answer !== answer) return;
  $(".qr img").src = reply.qr;
  $(".qr img").alt = words.qr_alt;
  $(".qr figcaption").textContent = url.replace(/^\w+:\/\/|\?.*$/g, "");
  $(".qr").hidden = false;
});
