// @ts-check
// Painting an answer: the walk, the heads’ cards, the sentence.

for (const node of $$("[data-w]")) node.textContent = words[node.dataset.w];
element.closest(".gradio-container")?.setAttribute("lang", language);
document.documentElement.lang = language;
$(".examples").setAttribute("aria-label", words.examples);
$(".take").setAttribute("aria-label", words.take);
for (const example of props.examples) {
  $(".examples").append(
    make(
      "button",
      {
        type: "button",
        "data-example": example.name,
        title: example.name,
        onclick: () => ask({ example: example.name, head: "main" }),
      },
      make("img", { src: example.thumb, alt: example.name, width: 56, height: 56 }),
    ),
  );
}
HEADS.forEach((head, i) => {
  const radio = make("input", { type: "radio", name: "head", value: head, onchange: () => ask({ ...wanted, head }) });
  $(".seg").append(make("label", {}, radio, make("span", {}, head)));
  const act = make("section", { class: "act", "aria-label": head });
  for (const name of STAGES.slice(3 * i, 3 * i + 3)) {
    act.append(
      make(
        "button",
        {
          type: "button",
          class: "stage",
          "data-stage": name,
          onclick: () => {
            stage = name;
            enlarge();
          },
        },
        make("span", { class: "cell" }, make("canvas", { role: "img" }), make("span", { class: "why" })),
        make("span", { class: "name" }, make("b", {}, name), " ", make("span", { class: "soft size" })),
      ),
    );
  }
  act.append(
    make(
      "div",
      { class: "card", "data-head": head },
      make("h2", {}, head, make("span", { class: "soft" }, say("after", { stage: LAST[head] }))),
      make("ul", { class: "rows" }),
    ),
  );
  $(".acts").append(act);
  $(".belief").append(make("span", { class: "point", "data-head": head }, make("i"), make("b")));
});

function summary(name) {
  return answer.result.stages.find(each => each.name === name);
}
function askedLabel() {
  return answer.result.question.target.label;
}
function askedName() {
  const { target, contrast } = answer.result.question;
  return contrast ? `${target.label} − ${contrast.label}` : target.label;
}
function place(peak) {
  return { x: Math.round((peak[0] / answer.size[0]) * 100), y: Math.round((peak[1] / answer.size[1]) * 100) };
}

function show() {
  const { question, heads } = answer.result;
  drawPhoto(answer.result.image);
  for (const example of $$("[data-example]")) example.setAttribute("aria-pressed", example.dataset.example === wanted.example);
  for (const radio of $$(".seg input")) {
    radio.checked = radio.value === question.head;
    radio.disabled = !heads[radio.value];
  }
  target.set(question.target);
  contrast.set(question.contrast);
  HEADS.forEach(head => card(head, heads[head]));
  belief();
  sentence();
  if (!answer.grids[stage]) stage = LAST[question.head];
  looks();
  enlarge();
  $$(".acts .stage, .point, .rows").forEach((node, i) => {
    if (!still.matches)
      node.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 220, delay: Math.min(i, 8) * 30, fill: "backwards" });
  });
}

function drawPhoto(name) {
  paint($(".picture"));
  $(".picture").setAttribute("aria-label", say("photo_alt", { name }));
}

function card(head, predictions) {
  const rows = $(`.card[data-head="${head}"] .rows`),
    { target } = answer.result.question;
  $(`.card[data-head="${head}"]`).classList.toggle("asking", answer.result.question.head === head);
  if (!predictions) {
    rows.replaceChildren(make("li", { class: "absent soft" }, say("absent", { head })));
    return;
  }
  const shown = predictions.some(p => p.index === target.index)
    ? predictions
    : [...predictions, { ...target, probability: answer.result.belief[head], beyond: true }];
  rows.replaceChildren(
    ...shown.map(p =>
      make(
        "li",
        { class: p.beyond ? "beyond" : "" },
        make(
          "button",
          {
            type: "button",
            class: "row",
            "data-class": p.index,
            "aria-pressed": p.index === target.index,
            onclick: () => ask({ ...wanted, head: wanted.head, target: p.index, contrast: null }),
          },
          make("i", { style: `--share:${p.probability}` }),
          make("span", {}, p.label),
          make("u", {}, percent(p.probability)),
        ),
      ),
    ),
  );
}

function belief() {
  const known = HEADS.filter(head => answer.result.belief[head] !== null);
  const y = p => 36 - 30 * p;
  $(".belief polyline").setAttribute(
    "points",
    known.map(head => `${50 + 100 * HEADS.indexOf(head)},${y(answer.result.belief[head])}`).join(" "),
  );
  for (const head of HEADS) {
    const point = $(`.point[data-head="${head}"]`),
      p = answer.result.belief[head];
    point.hidden = p === null;
    if (p === null) continue;
    point.style.top = (y(p) / 40) * 100 + "%";
    point.querySelector("b").textContent = percent(p);
  }
  $(".belief .what").textContent = say("belief_short", { class: askedLabel() });
  $(".belief").setAttribute(
    "aria-label",
    say("belief", { class: askedLabel() }) +
      ": " +
      known.map(head => `${head} ${percent(answer.result.belief[head])}`).join(", "),
  );
}

function sentence() {
  const text = answer.say[language].replaceAll(" %", "\u00a0%"),
    label = askedLabel(),
    parts = text.split(label),
    out = [];
  parts.forEach((part, i) => {
    out.push(part);
    if (i === parts.length - 1) return;
    const whole = !/[\p{L}\p{N}]$/u.test(part) && !/^[a-z0-9]/i.test(parts[i + 1]); // "ring", and not the end of "spring"
    out.push(whole ? make("b", { class: "asked" }, label) : label);
  });
  $(".say").replaceChildren(...out);
  $(".say").classList.toggle("unlikely", answer.unlikely);
}

function looks() {
  // everything that the sliders and the switch change in the walk
  const { head } = answer.result.question;
  for (const name of STAGES) {
    const node = $(`.stage[data-stage="${name}"]`),
      canvas = node.querySelector("canvas"),
      info = summary(name),
      grid = answer.grids[name];
    const behind = !grid;
    node.classList.toggle("behind", behind);
    node.disabled = behind;
    node.querySelector(".why").hidden = !behind;
    node.querySelector(".why").textContent = behind ? say("behind", { head }) : "";
    node.querySelector(".size").textContent = grid ? `${grid.h}×${grid.w}` : "";
    canvas.hidden = behind;
    if (behind) continue;
    paint(canvas, grid, grid.sum, grid.peak);
    canvas.setAttribute(
      "aria-label",
      info.peak
        ? say("stage_alt", { stage: name, head, class: askedName(), ...place(info.peak) })
        : say("stage_alt_none", { stage: name, head, class: askedName() }),
    );
  }
}

let frame = 0;
function repaint() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    if (answer) {
      drawPhoto(answer.result.image);
      looks();
      enlarge();
    }
  });
}
for (const control of $$(".looks input")) control.addEventListener("input", repaint);
let wide = 0;
new ResizeObserver(() => {
  if (wide !== (wide = element.clientWidth)) repaint();
}).observe(element);
