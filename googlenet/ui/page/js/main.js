// @ts-check
// The page: its modules in the order in which they build it and draw, and the first answer.
import "./order.js";
import "./strip.js";
import "./heads.js";
import "./verdict.js";
import "./truths.js";
import "./right.js";
import "./tipping.js";
import "./evidence.js";
import "./test.js";
import "./channels.js";
import "./recent.js";
import "./menus.js";
import "./method.js";
import "./lesson.js";
import "./present.js";
import "./qr.js";
import "./predict.js";
import "./downloads.js";
import "./combobox.js";
import "./camera.js";
import { fromAddress } from "./address.js";
import { ask, askWith, fail, firstQuestion, show } from "./asking.js";
import { remembered, remember } from "./memory.js";
import { $, props } from "./page.js";
import { playOnce } from "./play.js";
import { stored } from "./storage.js";
import { set } from "./store.js";
import { language } from "./words.js";

const other = language === "ko" ? "en" : "ko";
$(".languages").textContent = other === "ko" ? "한국어" : "English";
$(".languages").lang = other;
$(".languages").addEventListener("click", () => {
  const search = new URLSearchParams(location.search);
  search.delete("language");
  if (!stored("localStorage", "language", other)) search.set("language", other); // the browser keeps nothing
  history.replaceState(history.state, "", location.pathname + (search.size ? `?${search}` : ""));
  remember();
  location.reload();
});

$("h1").textContent = props.title;
const { answer, refusal, weights } = props.value;
set({ weights });
const opened = remembered() ?? fromAddress();
if (opened) {
  if (opened.weights) askWith(opened, opened.weights);
  else ask(opened, !history.state);
} else if (answer) {
  await show(answer, firstQuestion());
  setTimeout(playOnce, 300);
} else fail(refusal[language]);
