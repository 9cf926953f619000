// @ts-check
// Sending questions to Python and receiving what it answers.

/** @type {any} */ let waiting = null; // the question that waits while another runs
let running = 0,
  lost = 0; // the number of the question that Python works on, and the timer that gives it up

function ask(question) {
  wanted = { head: "main", target: null, contrast: null, example: null, path: null, ...question, weights: weights.chosen };
  busy(words.working);
  waiting = { ...wanted, n: ++asked };
  if (!running) send();
}
function send() {
  // one question runs, at most one waits: the newest
  if (!waiting) return;
  const question = waiting,
    known = !!answer && answer.picture === pictureOf(question);
  waiting = null;
  running = question.n;
  lost = setTimeout(() => {
    if (asked === question.n) fail(words.lost);
    finished(question.n);
  }, 60000);
  trigger("select", { ...question, known });
}
function finished(number) {
  if (number !== running) return;
  running = 0;
  clearTimeout(lost);
  send();
}
async function fail(text) {
  // back to the last good answer, with the reason
  busy("");
  if (answer) {
    wanted = answer.asked;
    show();
  } else {
    wanted = null;
    await receive({ ...initial, weights: null, n: asked });
  }
  notice(text);
}
function pictureOf(question) {
  return question.example ? "example:" + question.example : question.path;
}
function busy(text) {
  element.setAttribute("aria-busy", String(!!text));
  $(".page").classList.toggle("busy", !!text);
  if (text) notice("");
  if (text) $(".notice").textContent = text;
}

async function bring(file) {
  // a picture from disk, clipboard, drop or camera
  if (!file) return;
  const number = ++asked,
    name = file.name || "picture.png";
  if (file.size > 20 * MEGABYTES) {
    notice(say("too_large", { name }));
    return;
  }
  busy(words.uploading);
  createImageBitmap(file, { imageOrientation: "from-image" }).then(
    preview => {
      // a look at it while it travels
      if (asked > number + 1 || !element.matches("[aria-busy=true]")) return;
      const before = photo;
      photo = preview;
      paint($(".picture"));
      photo = before;
    },
    () => {},
  );
  try {
    const { path } = await upload(file.name ? file : new File([file], name, { type: file.type }));
    if (number === asked) ask({ path, head: wanted ? wanted.head : "main" });
  } catch (error) {
    if (number === asked) fail(say("upload_failed", { name }));
  }
}

async function receive(message) {
  if (!message) return;
  for (const key of Object.keys(message))
    if (message[key] && receivers[key]) {
      receivers[key](message);
      return;
    }
  finished(message.n);
  if (message.n !== asked) return; // a stale answer is never painted
  if (message.error) {
    fail(message.error[language]);
    return;
  }
  if (sheetFor && sheetFor !== message.n) sheetFor = 0;
  const next = { ...message.answer },
    question = wanted || { example: props.examples[0].name, path: null, head: "main", weights: null };
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
  wanted = next.asked = { ...question, head, target: target.index, contrast: contrast?.index };
  answer = next;
  busy("");
  notice("");
  show();
  address();
}
