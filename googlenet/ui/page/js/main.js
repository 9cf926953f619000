// The page: its modules in the order in which they build it and draw, and the first answer.
import { fromAddress } from "./address.js";
import { ask, askWith, fail, showFirst } from "./asking.js";
import { remember, remembered, stored } from "./memory.js";
import { $, on, props } from "./page.js";
import { set } from "./store.js";
import { playOnce } from "./walk.js";
import { language } from "./words.js";
import "./heads.js";
import "./right.js";
import "./enlarged.js";
import "./test.js";
import "./channels.js";
import "./classroom.js";

const other = language === "ko" ? "en" : "ko";
$(".languages").textContent = other === "ko" ? "한국어" : "English";
$(".languages").lang = other;
on(".languages", "click", () => {
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
  await showFirst();
  setTimeout(playOnce, 300);
} else fail(refusal[language]);
