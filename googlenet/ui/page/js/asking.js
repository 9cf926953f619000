// @ts-check
// Sending questions to Python and receiving what it answers. One question runs and at most one waits: the newest.

const SLOW = 8000; // milliseconds after which the page says that it still waits
const LOST = 60000; // and after which it gives up
const RETRY = 1000; // milliseconds between two looks for the program that comes after this one

/** @type {any} */ let waiting = null; // the question that waits while another runs
let running = 0; // the number of the question that Python works on, or 0
let sentAt = 0; // when it was sent
let lost = 0; // the timer that gives it up
let slow = 0; // the timer that says that it takes long
/** @type {Record<string, any>} */ const posted = {}; // event → what was sent with it last
let restarting = 0; // the timer that looks for the next program, or 0
let popping = false; // whether the newest question comes from the browser's Back

/** Ask Python. @param {any} question what differs from a plain question about the main head's own class */
function ask(question) {
  stopPlaying();
  wanted = { head: "main", target: null, contrast: null, example: null, path: null, original: null, ...question };
  if (wanted.target !== null && wanted.target === wanted.contrast) wanted.contrast = null; // "lion rather than lion" asks nothing
  wanted.weights = weights.chosen;
  popping = false;
  busy(words.working);
  waiting = { ...wanted, n: ++asked };
  remember();
  if (!running || Date.now() - sentAt > SLOW) send();
}
function send() {
  if (!waiting) return;
  const question = waiting;
  waiting = null;
  running = question.n;
  sentAt = Date.now();
  patience(question.n);
  post("select", { ...question, known: !!answer && answer.picture === pictureOf(question) });
}
/** @param {string} event @param {any} question */
function post(event, question) {
  const { path, ...rest } = question;
  posted[event] = { ...rest, upload: path }; // Gradio refuses data with a `path` that is not in its folder before Python sees it
  trigger(event, posted[event]);
}
/** Start the two timers of a question anew. @param {number} number */
function patience(number) {
  clearTimeout(lost);
  clearTimeout(slow);
  slow = setTimeout(() => number === asked && working(navigator.onLine ? words.slow : words.no_connection), SLOW);
  lost = setTimeout(() => {
    if (asked === number) fail(words.lost);
    finished(number);
  }, LOST);
}
/** @param {number} number */
function finished(number) {
  if (number !== running) return;
  running = 0;
  clearTimeout(lost);
  clearTimeout(slow);
  send();
}
/** Back to the last good answer, with the reason. @param {string} text */
async function fail(text) {
  busy("");
  if (answer) {
    wanted = answer.asked;
    show();
  } else if (initial.answer) {
    wanted = null;
    await receivers.answer({ ...initial, n: asked });
  }
  complain(text);
}
/** The program ends: say so, and load the page anew when another one answers. What is asked is remembered. */
function restart() {
  if (restarting) return;
  busy(words.restarting);
  for (const timer of [slow, lost]) clearTimeout(timer);
  const { root, api_prefix, app_id } = /** @type {any} */ (window).gradio_config;
  restarting = setInterval(async () => {
    const next = await fetch(`${root}${api_prefix}/app_id`)
      .then(found => found.json())
      .catch(() => null); // nothing answers yet
    if (next && next.app_id !== app_id) location.reload();
  }, RETRY);
}
/** @param {any} question */
function pictureOf(question) {
  return question.example ? `example:${question.example}` : question.path;
}
/** @param {string} text what the page does, or nothing where it is done */
function busy(text) {
  element.setAttribute("aria-busy", String(!!text));
  $(".page").classList.toggle("busy", !!text);
  $(".stop").hidden = true;
  notice(text);
}
/** Say that it takes long, with a way out. @param {string} text */
function working(text) {
  if (!$(".page").classList.contains("busy")) return;
  notice(text);
  $(".stop").hidden = false;
}
$(".stop").addEventListener("click", () => {
  asked++;
  waiting = null;
  finished(running);
  cancelUpload();
  fail("");
});
window.addEventListener("offline", () => working(words.no_connection));
window.addEventListener("online", () => {
  if (!running || running !== asked) return;
  notice(words.working);
  waiting ||= { ...wanted, n: asked };
  send();
});

receivers.waiting = message => {
  const { n, event } = message;
  if (n !== asked || posted[event].n !== n) {
    finished(n); // its place in the queue is lost, since nobody asks for it again
    return;
  }
  if (event === "select") {
    patience(n);
    working(say("queue", { place: message.waiting }));
  }
  trigger(event, posted[event]); // keeps the place, and is answered when there is news
};
receivers.error = async message => {
  if (message.restarting) return restart();
  if (took(message)) return;
  finished(message.n);
  if (message.n !== asked) return;
  if (message.not_loaded) return loadFor(wanted, message.not_loaded);
  const file = message.error.en === props.shared.gone && wanted?.path ? await kept(wanted.path) : null;
  if (message.n !== asked) return;
  if (file)
    resend(file); // the server has lost the picture; the page has not
  else fail(message.error[language]);
};
receivers.answer = async message => {
  finished(message.n);
  if (message.n !== asked) return; // a stale answer is never painted
  const next = { ...message.answer };
  const question = wanted || { example: props.examples[0].name, path: null, original: null, head: "main", weights: null };
  if (message.answer.picture) {
    const image = new Image();
    image.src = message.answer.picture;
    await image.decode();
    if (message.n !== asked) return;
    photo = image;
  }
  next.grids = Object.fromEntries(Object.entries(next.grids).map(([name, grid]) => [name, unpack(grid)]));
  next.picture = pictureOf(question);
  const { head, target, contrast } = next.result.question;
  wanted = next.asked = { ...question, head, target: target.index, contrast: contrast?.index ?? null };
  answer = next;
  busy("");
  notice(confirmed);
  confirmed = "";
  dropCover();
  $(".take-say").textContent = question.original ? words.reduced : "";
  show();
  keepRecent();
  address(popping);
  remember();
};

/** @param {any} message */
function receive(message) {
  const key = message && Object.keys(receivers).find(name => message[name]);
  if (key) receivers[key](message);
}
