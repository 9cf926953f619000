// The walk: draws an answer from its nine small grids, and sends questions to Python. Runs once, with Gradio's `element`,
// `props`, `trigger`, `upload` and `watch` in scope (gr.HTML's js_on_load).
const HEADS = ["aux1", "aux2", "main"], STAGES = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"];
const BRANCHES = ["1x1", "3x3", "5x5", "pool"], LAST = {aux1: "4a", aux2: "4d", main: "5b"}, MEGABYTES = 1024 * 1024;
const language = (navigator.language || "en").toLowerCase().startsWith("ko") ? "ko" : "en";
const words = props.words[language], magma = bytes(props.magma);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const $ = selector => element.querySelector(selector), $$ = selector => [...element.querySelectorAll(selector)];

let answer = null, weights = null, photo = null;   // what is painted
let asked = 0, wanted = null;                       // the newest question: its number, and what it asks
let running = 0, waiting = null, lost = 0;          // the question that Python works on, the one that waits, the timer
let stage = "4c";                                   // the stage that is enlarged
let sheetFor = 0;                                   // the number of the question whose contact sheet is awaited, or 0
let linked = null;                                  // a question of the address that waits for its weights

// ---- small things

function bytes(base64) { return Uint8Array.from(atob(base64), c => c.charCodeAt(0)); }
function fill(text, values = {}) { return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? ""); }
function say(key, values) { return fill(words[key], values); }
function percent(p, prose = false) {  // as words.percent: rounding never makes it untrue
  const [over, under] = prose ? [words.over, words.under] : ["> {}", "< {}"], figure = text => text + "\u00a0%";
  if (p >= .995) return over.replace("{}", figure("99"));
  if (p < .001) return under.replace("{}", figure("0.1"));
  return figure((p * 100).toFixed(p >= .0995 ? 0 : 1));
}
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
function notice(text) { $(".notice").textContent = text || words.hint; $(".notice").classList.toggle("bad", !!text); }
function branchName(branch) { return branch.replace("x", "×"); }

// ---- drawing: the same formula as render.spotlight

function unpack(packed) {  // → {h, w, branches: [4 × Float32Array], sum: Float32Array, peak}
  const [, h, w] = packed.shape, whole = new Int16Array(bytes(packed.data).buffer), cells = h * w;
  const branches = BRANCHES.map((_, b) => Float32Array.from(whole.subarray(b * cells, (b + 1) * cells), v => v * packed.factor));
  const sum = new Float32Array(cells).map((_, i) => branches[0][i] + branches[1][i] + branches[2][i] + branches[3][i]);
  const top = sum.reduce((best, v, i) => v > sum[best] ? i : best, 0);
  return {h, w, branches, sum, peak: Math.max(sum[top], 1e-12), top};
}

const bases = new WeakMap();  // picture → {"w×h": its pixels at that size}, since nine canvases share one
function base(width, height) {
  if (!bases.has(photo)) bases.set(photo, {});
  return bases.get(photo)[`${width}×${height}`] ||= (() => {
    const pen = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
    pen.imageSmoothingQuality = "high";
    pen.drawImage(photo, 0, 0, width, height);
    return pen.getImageData(0, 0, width, height).data;
  })();
}

function axis(pixels, start, end, cells, smooth) {  // for each pixel: the two cells it lies between and the share of the second
  const low = new Int16Array(pixels), high = new Int16Array(pixels), part = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) {
    const at = (i + .5 - start) / (end - start) * cells;
    if (at < 0 || at > cells) { low[i] = -1; continue; }
    if (!smooth) { low[i] = high[i] = Math.min(cells - 1, at | 0); continue; }
    const centre = Math.min(cells - 1, Math.max(0, at - .5));
    low[i] = centre | 0; high[i] = Math.min(cells - 1, low[i] + 1); part[i] = centre - low[i];
  }
  return {low, high, part};
}

function paint(canvas, grid, values, peak) {  // the canvas takes the picture's shape, as large as the square cell it stands in
  const dpr = Math.min(devicePixelRatio || 1, 2), side = canvas.parentElement.clientWidth * dpr || 112;
  const shrink = side / Math.max(photo.width, photo.height);
  const width = Math.max(1, Math.round(photo.width * shrink)), height = Math.max(1, Math.round(photo.height * shrink));
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  canvas.style.width = width / dpr + "px";
  canvas.style.height = height / dpr + "px";
  const p = base(width, height), image = new ImageData(width, height), q = image.data;
  if (!grid) q.set(p); else light(q, p, width, height, dpr, grid, values.map(v => Math.min(1, Math.max(0, v / peak))));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function light(q, p, width, height, dpr, grid, heat) {
  const strength = +$(".looks .heat").value, hidden = +$(".looks .threshold").value, smooth = !$(".looks .cells").checked;
  const [x0, y0, x1, y1] = answer.result.seen.map(edge => edge * width / answer.size[0]);
  const across = axis(width, x0, x1, grid.w, smooth), down = axis(height, y0, y1, grid.h, smooth);
  for (let y = 0, k = 0; y < height; y++) {
    const a = down.low[y] * grid.w, b = down.high[y] * grid.w, t = down.part[y], row = down.low[y] >= 0;
    for (let x = 0; x < width; x++, k += 4) {
      const l = across.low[x], r = across.high[x], s = across.part[x], seen = row && l >= 0;
      let v = 0;
      if (seen) {
        v = (heat[a + l] * (1 - s) + heat[a + r] * s) * (1 - t) + (heat[b + l] * (1 - s) + heat[b + r] * s) * t;
        if (v < hidden) v = 0;
      }
      const soft = v * v * (3 - 2 * v), tint = ((.2 + .7 * v) * 255 | 0) * 3;
      const dark = (.3 * p[k] + .59 * p[k + 1] + .11 * p[k + 2]) * .38 * (1 - soft) + (!seen && ((x + y) / dpr | 0) % 8 < 1.5 ? 60 : 0);
      for (let c = 0; c < 3; c++) {
        const shade = dark + (p[k + c] * .62 + magma[tint + c] * .5) * soft;
        q[k + c] = p[k + c] + (shade - p[k + c]) * strength;
      }
      q[k + 3] = 255;
    }
  }
}

// ---- the fixed parts of the page

for (const node of $$("[data-w]")) node.textContent = words[node.dataset.w];
element.closest(".gradio-container")?.setAttribute("lang", language);
document.documentElement.lang = language;
$(".examples").setAttribute("aria-label", words.examples);
$(".take").setAttribute("aria-label", words.take);
for (const example of props.examples) {
  $(".examples").append(make("button", {type: "button", "data-example": example.name, title: example.name,
    onclick: () => ask({example: example.name, head: "main"})}, make("img", {src: example.thumb, alt: example.name, width: 56, height: 56})));
}
HEADS.forEach((head, i) => {
  const radio = make("input", {type: "radio", name: "head", value: head, onchange: () => ask({...wanted, head})});
  $(".seg").append(make("label", {}, radio, make("span", {}, head)));
  const act = make("section", {class: "act", "aria-label": head});
  for (const name of STAGES.slice(3 * i, 3 * i + 3)) {
    act.append(make("button", {type: "button", class: "stage", "data-stage": name, onclick: () => { stage = name; close(); }},
      make("span", {class: "cell"}, make("canvas", {role: "img"}), make("span", {class: "why"})),
      make("span", {class: "name"}, make("b", {}, name), " ", make("span", {class: "soft size"}))));
  }
  act.append(make("div", {class: "card", "data-head": head},
    make("h2", {}, head, make("span", {class: "soft"}, say("after", {stage: LAST[head]}))), make("ul", {class: "rows"})));
  $(".acts").append(act);
  $(".belief").append(make("span", {class: "point", "data-head": head}, make("i"), make("b")));
});
for (const branch of BRANCHES) {
  $(".four").append(make("div", {"data-branch": branch}, make("span", {class: "cell"}, make("canvas", {role: "img"})),
    make("div", {}, make("b", {}, branchName(branch)), " ", make("span", {class: "soft share"})), make("div", {class: "bar"}, make("i"))));
}

// ---- painting an answer

function summary(name) { return answer.result.stages.find(each => each.name === name); }
function askedLabel() { return answer.result.question.target.label; }
function askedName() {
  const {target, contrast} = answer.result.question;
  return contrast ? `${target.label} − ${contrast.label}` : target.label;
}
function place(peak) { return {x: Math.round(peak[0] / answer.size[0] * 100), y: Math.round(peak[1] / answer.size[1] * 100)}; }

function show() {
  const {question, heads} = answer.result;
  drawPhoto(answer.result.image);
  for (const example of $$("[data-example]")) example.setAttribute("aria-pressed", example.dataset.example === wanted.example);
  for (const radio of $$(".seg input")) { radio.checked = radio.value === question.head; radio.disabled = !heads[radio.value]; }
  target.set(question.target);
  contrast.set(question.contrast);
  HEADS.forEach(head => card(head, heads[head]));
  belief();
  sentence();
  if (!answer.grids[stage]) stage = LAST[question.head];
  looks();
  close();
  $$(".acts .stage, .point, .rows").forEach((node, i) => {
    if (!still.matches) node.animate([{opacity: 0}, {opacity: 1}], {duration: 220, delay: Math.min(i, 8) * 30, fill: "backwards"});
  });
}

function drawPhoto(name) {
  paint($(".picture"));
  $(".picture").setAttribute("aria-label", say("photo_alt", {name}));
}

function card(head, predictions) {
  const rows = $(`.card[data-head="${head}"] .rows`), {target} = answer.result.question;
  $(`.card[data-head="${head}"]`).classList.toggle("asking", answer.result.question.head === head);
  if (!predictions) { rows.replaceChildren(make("li", {class: "absent soft"}, say("absent", {head}))); return; }
  const shown = predictions.some(p => p.index === target.index) ? predictions
    : [...predictions, {...target, probability: answer.result.belief[head], beyond: true}];
  rows.replaceChildren(...shown.map(p => make("li", {class: p.beyond ? "beyond" : ""}, make("button", {type: "button", class: "row", "data-class": p.index,
    "aria-pressed": p.index === target.index, onclick: () => ask({...wanted, head: wanted.head, target: p.index, contrast: null})},
    make("i", {style: `--share:${p.probability}`}), make("span", {}, p.label), make("u", {}, percent(p.probability))))));
}

function belief() {
  const known = HEADS.filter(head => answer.result.belief[head] !== null);
  const y = p => 36 - 30 * p;
  $(".belief polyline").setAttribute("points", known.map(head => `${50 + 100 * HEADS.indexOf(head)},${y(answer.result.belief[head])}`).join(" "));
  for (const head of HEADS) {
    const point = $(`.point[data-head="${head}"]`), p = answer.result.belief[head];
    point.hidden = p === null;
    if (p === null) continue;
    point.style.top = y(p) / 40 * 100 + "%";
    point.querySelector("b").textContent = percent(p);
  }
  $(".belief .what").textContent = say("belief_short", {class: askedLabel()});
  $(".belief").setAttribute("aria-label",
    say("belief", {class: askedLabel()}) + ": " + known.map(head => `${head} ${percent(answer.result.belief[head])}`).join(", "));
}

function sentence() {
  const text = answer.say[language].replaceAll(" %", "\u00a0%"), label = askedLabel(), parts = text.split(label), out = [];
  parts.forEach((part, i) => {
    out.push(part);
    if (i === parts.length - 1) return;
    const whole = !/[\p{L}\p{N}]$/u.test(part) && !/^[a-z0-9]/i.test(parts[i + 1]);  // "ring", and not the end of "spring"
    out.push(whole ? make("b", {class: "asked"}, label) : label);
  });
  $(".say").replaceChildren(...out);
  $(".say").classList.toggle("unlikely", answer.unlikely);
}

function looks() {  // everything that the sliders and the switch change in the walk
  const {head} = answer.result.question;
  for (const name of STAGES) {
    const node = $(`.stage[data-stage="${name}"]`), canvas = node.querySelector("canvas"), info = summary(name), grid = answer.grids[name];
    const behind = !grid;
    node.classList.toggle("behind", behind);
    node.disabled = behind;
    node.querySelector(".why").hidden = !behind;
    node.querySelector(".why").textContent = behind ? say("behind", {head}) : "";
    node.querySelector(".size").textContent = grid ? `${grid.h}×${grid.w}` : "";
    canvas.hidden = behind;
    if (behind) continue;
    paint(canvas, grid, grid.sum, grid.peak);
    canvas.setAttribute("aria-label", info.peak ? say("stage_alt", {stage: name, head, class: askedName(), ...place(info.peak)})
      : say("stage_alt_none", {stage: name, head, class: askedName()}));
  }
}

function close() {  // the enlarged stage
  const grid = answer.grids[stage], info = summary(stage), {head} = answer.result.question, canvas = $(".big canvas");
  for (const node of $$(".stage")) node.setAttribute("aria-pressed", node.dataset.stage === stage);
  paint(canvas, grid, grid.sum, grid.peak);
  canvas.setAttribute("aria-label", $(`.stage[data-stage="${stage}"] canvas`).getAttribute("aria-label"));
  $("#stage-title").textContent = say("stage_title", {stage});
  $(".stage-text").textContent = info.peak
    ? say("stage_text", {h: grid.h, w: grid.w, class: askedName(), ...place(info.peak), share: percent(info.share_of_evidence, true)})
    : say("stage_text_none", {h: grid.h, w: grid.w, class: askedName()});
  const loudest = Math.max(1e-12, ...grid.branches.map(values => Math.max(...values)));  // one scale for the four
  BRANCHES.forEach((branch, b) => {
    const node = $(`.four [data-branch="${branch}"]`), share = info.branches[branch];
    paint(node.querySelector("canvas"), grid, grid.branches[b], loudest);
    node.querySelector("canvas").setAttribute("aria-label",
      say("branch_alt", {stage, branch: branchName(branch), class: askedName(), share: percent(share, true)}));
    node.querySelector(".share").textContent = percent(share);
    node.querySelector(".bar i").style.width = share * 100 + "%";
  });
  const at = grid.branches.map(values => values[grid.top]), digits = 2 - Math.floor(Math.log10(grid.peak));
  const figure = v => (v < 0 ? "−" : "") + Math.abs(v).toFixed(Math.min(8, Math.max(0, digits)));
  $(".numbers").replaceChildren(say("teach_formula", {stage}), make("br"), make("span", {class: "sum"},
    at.map((v, b) => `${figure(v)} (${branchName(BRANCHES[b])})`).join(" + ") + ` = ${figure(grid.sum[grid.top])}`));
}

let frame = 0;
function repaint() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => { if (answer) { drawPhoto(answer.result.image); looks(); close(); } });
}
for (const control of $$(".looks input")) control.addEventListener("input", repaint);
let wide = 0;
new ResizeObserver(() => { if (wide !== (wide = element.clientWidth)) repaint(); }).observe(element);

// ---- asking

function ask(question) {
  wanted = {head: "main", target: null, contrast: null, example: null, path: null, ...question, weights: weights.chosen};
  busy(words.working);
  waiting = {...wanted, n: ++asked};
  if (!running) send();
}
function send() {  // one question runs, at most one waits: the newest
  if (!waiting) return;
  const question = waiting, known = !!answer && answer.picture === pictureOf(question);
  waiting = null;
  running = question.n;
  lost = setTimeout(() => { if (asked === question.n) fail(words.lost); finished(question.n); }, 60000);
  trigger("select", {...question, known});
}
function finished(number) {
  if (number !== running) return;
  running = 0;
  clearTimeout(lost);
  send();
}
async function fail(text) {  // back to the last good answer, with the reason
  busy("");
  if (answer) { wanted = answer.asked; show(); } else { wanted = null; await receive({...initial, weights: null, n: asked}); }
  notice(text);
}
function pictureOf(question) { return question.example ? "example:" + question.example : question.path; }
function busy(text) {
  element.setAttribute("aria-busy", !!text);
  $(".page").classList.toggle("busy", !!text);
  if (text) notice("");
  if (text) $(".notice").textContent = text;
}

async function bring(file) {  // a picture from disk, clipboard, drop or camera
  if (!file) return;
  const number = ++asked, name = file.name || "picture.png";
  if (file.size > 20 * MEGABYTES) { notice(say("too_large", {name})); return; }
  busy(words.uploading);
  createImageBitmap(file, {imageOrientation: "from-image"}).then(preview => {  // a look at it while it travels
    if (asked > number + 1 || !element.matches("[aria-busy=true]")) return;
    const before = photo;
    photo = preview;
    paint($(".picture"));
    photo = before;
  }, () => {});
  try {
    const {path} = await upload(file.name ? file : new File([file], name, {type: file.type}));
    if (number === asked) ask({path, head: wanted ? wanted.head : "main"});
  } catch (error) {
    if (number === asked) fail(say("upload_failed", {name}));
  }
}

async function receive(message) {
  if (!message) return;
  if (message.weights) showWeights(message.weights);
  if (message.progress) { progress(message.progress); return; }
  if (message.weights_error) { progress(null); $(".weights-say").textContent = message.weights_error[language]; linked = null; return; }
  if (message.sheet) {
    if (message.n !== sheetFor) return;
    answer.sheet = bytes(message.sheet);
    sheetFor = 0;
    $(".take-say").textContent = "";
    save(answer.sheet, "image/png", "sheet.png");
    return;
  }
  if (message.weights && !message.answer) {
    progress(null);
    ask(linked || {example: wanted.example, path: wanted.path});
    linked = null;
    return;
  }
  finished(message.n);
  if (message.n !== asked) return;  // a stale answer is never painted
  if (message.error) { fail(message.error[language]); return; }
  if (sheetFor && sheetFor !== message.n) sheetFor = 0;
  const next = {...message.answer}, question = wanted || {example: "lion", path: null, head: "main", weights: null};
  if (message.answer.picture) {
    const image = new Image();
    image.src = message.answer.picture;
    await image.decode();
    if (message.n !== asked) return;
    photo = image;
  }
  next.grids = Object.fromEntries(Object.entries(next.grids).map(([name, grid]) => [name, unpack(grid)]));
  next.picture = pictureOf(question);
  const {head, target, contrast} = next.result.question;
  wanted = next.asked = {...question, head, target: target.index, contrast: contrast && contrast.index};
  answer = next;
  busy(""); notice("");
  show();
  address();
}

// ---- the address

function link() {
  if (!wanted.example) return null;
  const {head, target, contrast} = answer.result.question, query = new URLSearchParams({example: wanted.example, head});
  const name = klass => weights.labels.filter(label => label === klass.label).length > 1 ? klass.index : klass.label;
  query.set("class", name(target));
  if (contrast) query.set("contrast", name(contrast));
  if (weights.chosen) query.set("weights", weights.chosen);
  return location.pathname + "?" + query;
}
function address() {
  if (asked === 0) return;
  history.replaceState(null, "", link() || location.pathname);
}
function fromAddress() {
  const query = new URLSearchParams(location.search), get = name => query.get(name);
  if (!get("example") && !get("head") && !get("class") && !get("contrast")) return null;
  return {example: get("example") || "lion", head: get("head") || "main", target: get("class"), contrast: get("contrast"),
    source: get("weights")};
}

// ---- taking it along

function save(content, type, name) {
  const url = URL.createObjectURL(new Blob([content], {type}));
  make("a", {href: url, download: `${answer.result.image.replace(/\.[^.]*$/, "")}-${name}`}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
$(".take").addEventListener("click", event => {
  const kind = event.target.dataset.take;
  if (!kind || !answer) return;
  $(".take-say").textContent = "";
  if (kind === "json") save(JSON.stringify({...answer.result}, null, 1), "application/json", "explanation.json");
  if (kind === "npz") save(bytes(answer.npz), "application/octet-stream", "maps.npz");
  if (kind === "png" && answer.sheet) save(answer.sheet, "image/png", "sheet.png");
  else if (kind === "png" && !sheetFor) { sheetFor = asked; trigger("input", {...answer.asked, n: sheetFor}); $(".take-say").textContent = words.working; }
  if (kind === "link") {
    if (!link()) { $(".take-say").textContent = words.own_link; return; }
    navigator.clipboard.writeText(location.origin + link()).then(() => { $(".take-say").textContent = words.copied; },
      () => { $(".take-say").textContent = location.origin + link(); });
  }
});

// ---- the class search (a combobox with a list box, after the ARIA pattern)

function combobox(root, none, choose) {
  const input = root.querySelector("input"), list = root.querySelector("ul");
  let current = null, at = -1, choices = [];
  function options(text) {
    const found = text.trim().toLowerCase(), rank = answer.result.heads[answer.result.question.head] || answer.result.heads.main;
    const top = rank.map(p => ({index: p.index, label: p.label, note: percent(p.probability)}));
    const rest = weights.labels.map((label, index) => ({index, label})).filter(c => !top.some(t => t.index === c.index))
      .sort((a, b) => a.label.localeCompare(b.label));
    const all = [...top, ...rest].filter(c => c.label.toLowerCase().includes(found));
    if (found) all.sort((a, b) => b.label.toLowerCase().startsWith(found) - a.label.toLowerCase().startsWith(found));
    return none && !found ? [{index: null, label: none}, ...all] : all;
  }
  function open(text) {
    choices = options(text);
    list.replaceChildren(...(choices.length ? choices.map((c, i) => make("li", {role: "option", id: `${list.id}-${i}`,
      "aria-selected": c.index === (current ? current.index : null), onmousedown: event => { event.preventDefault(); pick(i); }},
      make("span", {}, c.label), make("span", {class: "soft"}, c.note || ""))) : [make("li", {class: "soft", role: "option", "aria-disabled": true}, words.no_match)]));
    list.classList.toggle("up", innerHeight - input.getBoundingClientRect().bottom < 280);
    list.hidden = false;
    input.setAttribute("aria-expanded", true);
    move(text.trim() && choices.length ? 0 : -1);
  }
  function shut() { list.hidden = true; input.setAttribute("aria-expanded", false); input.removeAttribute("aria-activedescendant"); }
  function move(to) {
    at = to;
    [...list.children].forEach((node, i) => node.classList.toggle("at", i === at));
    if (at >= 0) {
      input.setAttribute("aria-activedescendant", `${list.id}-${at}`);
      list.children[at].scrollIntoView({block: "nearest"});
    } else input.removeAttribute("aria-activedescendant");
  }
  function pick(i) {
    const chosen = choices[i];
    shut();
    set(chosen.index === null ? null : chosen);
    choose(chosen.index);
  }
  function set(value) { current = value; input.value = value ? value.label : ""; input.placeholder = none || ""; }
  input.addEventListener("focus", () => { if (answer) { input.select(); } });
  input.addEventListener("click", () => { if (answer && list.hidden) open(""); });
  input.addEventListener("input", () => { if (answer) open(input.value); });
  input.addEventListener("blur", () => { shut(); set(current); });
  input.addEventListener("keydown", event => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) open("");
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (choices.length) move((at + step + choices.length) % choices.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!list.hidden && at >= 0) pick(at);
      else if (none && !input.value.trim() && current) { choices = [{index: null}]; pick(0); }
    } else if (event.key === "Escape") { shut(); set(current); }
  });
  return {set};
}
const target = combobox($(".combo.target"), null, index => ask({...wanted, target: index}));
const contrast = combobox($(".combo.contrast"), words.contrast_none, index => ask({...wanted, contrast: index}));
$(".question").addEventListener("submit", event => event.preventDefault());

// ---- bringing a picture

$(".choose").addEventListener("click", () => $(".file").click());
$(".photo").addEventListener("click", () => $(".file").click());
$(".file").addEventListener("change", event => { bring(event.target.files[0]); event.target.value = ""; });
window.addEventListener("paste", event => {
  const file = [...event.clipboardData.files][0];
  if (file) { event.preventDefault(); bring(file); }
});
const overPage = event => [...(event.dataTransfer?.types || [])].includes("Files");
window.addEventListener("dragover", event => { if (overPage(event)) { event.preventDefault(); $(".drop").hidden = false; } });
window.addEventListener("dragleave", event => { if (!event.relatedTarget) $(".drop").hidden = true; });
window.addEventListener("drop", event => {
  $(".drop").hidden = true;
  if (overPage(event)) { event.preventDefault(); bring(event.dataTransfer.files[0]); }
});
const shoot = $(".shoot"), video = $(".shoot video");
$(".camera").addEventListener("click", async () => {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment", width: {ideal: 1920}}});
    shoot.showModal();
    await video.play();
  } catch { notice(words.no_camera); }
});
shoot.addEventListener("close", () => { video.srcObject?.getTracks().forEach(track => track.stop()); video.srcObject = null; });
$(".leave").addEventListener("click", () => shoot.close());
$(".shot").addEventListener("click", () => {
  const still = make("canvas", {width: video.videoWidth, height: video.videoHeight});
  still.getContext("2d").drawImage(video, 0, 0);
  still.toBlob(blob => { shoot.close(); bring(new File([blob], "camera.jpg", {type: "image/jpeg"})); }, "image/jpeg", .92);
});

// ---- weights

function showWeights(next) {
  weights = next;
  $(".chip").textContent = say("weights_chip", {source: (next.dataset || next.source).split(",")[0], count: next.labels.length});
  const shares = HEADS.filter(head => next.top1[head]).map(head => `${head} ${(next.top1[head] * 100).toFixed(1)}\u00a0%`).join(", ");
  const facts = {source: next.source, revision: next.revision && next.revision.slice(0, 12), file: next.sha256.slice(0, 12),
    trained_on: next.dataset, accuracy: shares, licence: next.license};
  if (!facts.revision) delete facts.revision;  // a folder has none
  $(".facts").replaceChildren(...Object.entries(facts).flatMap(([key, value]) =>
    [make("dt", {class: "soft"}, words[key]), make("dd", {}, value || words.unknown)]));
  $(".weights-say").textContent = next.offline ? words.offline : "";
  $(".sources").replaceChildren(...[...(next.chosen ? [{source: null, title: words.built_in, note: ""}] : []), ...props.sources].map(each =>
    make("li", {}, make("button", {type: "button", onclick: () => load(each.source)}, make("b", {}, each.title), make("span", {class: "soft"}, each.note)))));
}
function load(source) {
  $(".weights-say").textContent = "";
  progress({share: 0, what: ""}, source);
  trigger("submit", {weights: source, n: asked});
}
function progress(state, source) {
  const bar = $(".weights progress");
  bar.hidden = !state;
  if (!state) return;
  bar.value = state.share;
  bar.setAttribute("aria-label", $(".weights-say").textContent = state.what || say("loading", {source: source || ""}));
}
$(".repository").addEventListener("submit", event => {
  event.preventDefault();
  const source = $("#repository").value.trim();
  if (source) load(source);
});

// ---- start

const initial = props.value, opened = fromAddress();
notice("");
watch("value", () => receive(props.value));
showWeights(initial.weights);
if (opened && !opened.source) ask(opened);
else receive({...initial, weights: null});
if (opened && opened.source) { linked = opened; $(".weights").open = true; load(opened.source); }

