// @ts-check
// Painting an answer.

for (const node of $$("[data-w]")) node.textContent = words[node.dataset.w];
element.closest(".gradio-container")?.setAttribute("lang", language);
document.documentElement.lang = language;
$(".examples").setAttribute("aria-label", words.examples);
$(".recent").setAttribute("aria-label", words.recent);
$(".take").setAttribute("aria-label", words.take);
rove($(".take"));

/** A stage of the answer's JSON. @param {string} name */
function summary(name) {
  return answer.result.stages.find((/** @type {any} */ each) => each.name === name);
}
function askedName() {
  const { target, contrast } = answer.result.question;
  return contrast ? `${target.label} − ${contrast.label}` : target.label;
}
/** A position in the picture in per cent. @param {number[]} peak */
function place(peak) {
  return { x: Math.round((peak[0] / answer.size[0]) * 100), y: Math.round((peak[1] / answer.size[1]) * 100) };
}

function show() {
  const { question, heads } = answer.result;
  for (const example of $$("[data-example]")) example.setAttribute("aria-pressed", example.dataset.example === wanted.example);
  for (const radio of $$(".seg input")) {
    radio.checked = radio.value === question.head;
    radio.disabled = !heads[radio.value];
  }
  caption();
  rove($(".examples"), $(".examples [aria-pressed=true]"));
  target.set(question.target);
  contrast.set(question.contrast);
  for (const head of HEADS) card(head);
  sentence();
  if (!answer.grids[stage]) stage = LAST[question.head];
  touched = null;
  draws();
  turn("auto");
  if (still.matches) return;
  $$(".strip .stage, .rows").forEach((node, i) => {
    node.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 220, delay: Math.min(i, 8) * 30, fill: "backwards" });
  });
}

/** Everything that is painted in pixels. */
function draws() {
  drawPhoto();
  showStrip();
  slope();
  enlarge();
}

/** The picture as it came, with what the crop kept. */
function drawPhoto() {
  const [width, height] = answer.size;
  const [x0, y0, x1, y1] = answer.result.seen;
  paintPhoto($(".picture"), [0, 0, width, height]);
  $(".picture").setAttribute("aria-label", say("photo_alt", { name: answer.result.image }));
  const cropped = x0 > 1 || y0 > 1 || x1 < width - 1 || y1 < height - 1;
  mark($(".photo"), [0, 0, width, height], cropped ? [{ box: answer.result.seen, class: "crop" }] : []);
  const outside = `M0 0H${width}V${height}H0ZM${x0} ${y0}V${y1}H${x1}V${y0}Z`; // the frame's other way round leaves a hole
  if (cropped) $(".photo .marks").prepend(draw("path", { class: "unseen", d: outside }));
  $(".photo").title = cropped ? words.crop : "";
}

function sentence() {
  const label = answer.result.question.target.label;
  const parts = proseOf(answer.say).split(label);
  /** @type {(string | Node)[]} */ const out = [];
  parts.forEach((/** @type {string} */ part, /** @type {number} */ i) => {
    out.push(part);
    if (i === parts.length - 1) return;
    const whole = !/[\p{L}\p{N}]$/u.test(part) && !/^[a-z0-9]/i.test(parts[i + 1]); // "ring", and not the end of "spring"
    out.push(whole ? make("b", { class: "asked" }, label) : label);
  });
  $(".say").replaceChildren(...out);
  if (!answer.unlikely) return;
  $(".say").append(" ", helpMark("unlikely"));
  suggest($(".say"));
}

let frame = 0;
function repaint() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    if (answer) draws();
  });
}
for (const control of $$(".looks input")) {
  control.addEventListener("input", () => {
    spoken(control);
    repaint();
    remember();
  });
}
/** A slider speaks its value in per cent. @param {any} control */
function spoken(control) {
  if (control.type === "range") control.setAttribute("aria-valuetext", `${Math.round(control.value * 100)} %`);
}
$$(".looks input").forEach(spoken);
const sizes = new ResizeObserver(() => repaint());
for (const selector of [".big", ".photo", ".strip"]) sizes.observe($(selector));
