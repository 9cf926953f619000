// Taking it along. Sheet and card are drawn here: in the visitor's language, and without sending the picture again.
import { link } from "./address.js";
import { askedName, summary } from "./answer.js";
import { request } from "./asking.js";
import { overlay } from "./drawing.js";
import { said } from "./heads.js";
import { $, BRANCHES, bytes, HEADS, html, LAST, newCanvas, on, rove, STAGES } from "./page.js";
import { state } from "./store.js";
import { branchName, nameOf, percent, say, words } from "./words.js";

/** A canvas of the page's background, and what draws on it. @param {number} width @param {number} height */
function paper(width, height) {
  const canvas = newCanvas(width, height);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const style = getComputedStyle($(".page"));
  /** @param {string} tone @param {number} x @param {number} y @param {number} width @param {number} height */
  const fill = (tone, x, y, width, height) => {
    pen.fillStyle = style.getPropertyValue(`--w-${tone}`);
    pen.fillRect(x, y, width, height);
  };
  /** @param {string} text @param {number} x @param {number} y @param {number} size */
  const write = (text, x, y, size, tone = "ink", bold = false, align = /** @type {CanvasTextAlign} */ ("left")) => {
    pen.font = `${bold ? 700 : 400} ${size}px ${style.fontFamily}`;
    pen.fillStyle = style.getPropertyValue(`--w-${tone}`);
    pen.textAlign = align;
    pen.fillText(text, x, y);
  };
  /** Write lines that fit a width. @returns {number} where the next line stands @param {string} text @param {number} x
   * @param {number} y @param {number} size @param {number} width */
  const wrap = (text, x, y, size, width) => {
    pen.font = `400 ${size}px ${style.fontFamily}`;
    const lines = [""];
    for (const word of text.split(" ")) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (pen.measureText(longer).width > width) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    for (const [i, line] of lines.entries()) write(line, x, y + i * size * 1.45, size);
    return y + lines.length * size * 1.45;
  };
  /** A picture, whole, in a square. @param {any} picture @param {number} x @param {number} y @param {number} side */
  const place = (picture, x, y, side) => {
    const scale = side / Math.max(picture.width, picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    const [left, top] = [x + (side - width) / 2, y + (side - height) / 2];
    pen.drawImage(picture, left, top, width, height);
    return { left, top, width };
  };
  /** The frame of what the network looked at. @param {number} x @param {number} y @param {number} width @param {number} height */
  const frame = (x, y, width, height) => {
    Object.assign(pen, { strokeStyle: "#fff", lineWidth: 1.5, shadowBlur: 4, shadowColor: "#000" });
    pen.strokeRect(x, y, width, height);
    pen.shadowColor = "transparent";
  };
  /** A class with its bar and its probability. @param {Klass & {probability: number}} row @param {number} x @param {number} y
   * @param {number} width of the longest bar @param {number} right where the probability ends @param {number} size */
  const bar = (row, x, y, width, right, size) => {
    const asked = row.index === state.answer.result.question.target.index;
    fill(asked ? "tint" : "bar", x, y, Math.max(5, width * row.probability), size * 1.65);
    write(nameOf(row), x + 8, y + size * 1.2, size, "ink", asked);
    write(percent(row.probability), right, y + size * 1.2, size, "ink", asked, "right");
  };
  fill("bg", 0, 0, width, height);
  return { canvas, fill, write, wrap, place, frame, bar };
}
/** @typedef {ReturnType<typeof paper>} Paper */

/** The contact sheet: the photograph, nine stages and what the heads say. */
function sheet() {
  const [cell, gap, margin] = [176, 10, 40];
  const act = 3 * cell + 2 * gap;
  const left = margin + 2 * cell + 3 * gap;
  const width = left + 3 * act + 4 * gap + margin;
  const p = paper(width, 760);
  const { question, image, seen, weights } = state.answer.result;
  const about = { head: `${words[question.head]} (${question.head})`, class: askedName(), name: image };
  p.write("Inside GoogLeNet", margin, 58, 28, "ink", true);
  p.write(say("sheet_about", about), margin, 88, 16, "soft");
  const photo = p.place(state.photo, margin, 112, 2 * cell);
  const [x0, y0, x1, y1] = seen.map(edge => (edge * photo.width) / state.answer.size[0]);
  p.frame(photo.left + x0, photo.top + y0, x1 - x0, y1 - y0);
  HEADS.forEach((head, i) => {
    const x = left + i * (act + 2 * gap);
    STAGES.slice(3 * i, 3 * i + 3).forEach((name, column) => {
      sheetStage(p, name, x + column * (cell + gap), 112, cell);
    });
    sheetHead(p, head, x, 112 + cell + 84, act);
  });
  const below = p.wrap(said(), margin, 640, 18, width - 2 * margin);
  const source = weights.revision ? `${weights.source}@${weights.revision.slice(0, 12)}` : weights.source;
  const origin = [`${words.weights}: ${source}, SHA-256 ${weights.sha256.slice(0, 12)}`, link()]; // no link to one's own picture
  p.write(origin.filter(Boolean).join("  ·  "), margin, below + 12, 14, "soft");
  p.write(words.sheet_note, margin, below + 36, 14, "soft");
  return p.canvas;
}

/** @param {Paper} p @param {string} name @param {number} x @param {number} y @param {number} cell */
function sheetStage(p, name, x, y, cell) {
  if (!state.answer.grids[name]) {
    p.fill("well", x, y, cell, cell);
    return p.write(name, x, y + cell + 20, 14, "soft");
  }
  p.place(overlay(name, cell), x, y, cell);
  const { size, branches } = summary(name);
  p.write(name, x, y + cell + 20, 14, "ink", true);
  p.write(size.join("×"), x + 26, y + cell + 20, 14, "soft");
  const shares = BRANCHES.map(b => `${branchName(b)} ${percent(branches[b])}`);
  p.write(shares.slice(0, 2).join("  "), x, y + cell + 38, 12, "soft"); // four in one line run into the next stage
  p.write(shares.slice(2).join("  "), x, y + cell + 54, 12, "soft");
}

/** @param {Paper} p @param {string} head @param {number} x @param {number} y @param {number} width */
function sheetHead(p, head, x, y, width) {
  p.write(words[head], x, y, 17, "ink", true);
  p.write(`${head} · ${say("after", { stage: LAST[head] })}`, x + width, y, 14, "soft", false, "right");
  const { heads, belief, question } = state.answer.result;
  const rows = heads[head];
  if (!rows) return p.write(say("absent", { head }), x, y + 32, 14, "soft");
  const known = rows.some(row => row.index === question.target.index); // never a group
  const shown = known ? rows : [...rows, { ...question.target, probability: belief[head] }];
  shown.forEach((row, i) => {
    p.bar(row, x, y + 14 + i * 29, width - 70, x + width, 15);
  });
}

/** A picture of 1200×630 to share: the enlarged stage, the walk, and what the heads say. */
function shareCard() {
  const p = paper(1200, 630);
  p.place(overlay(state.stage, 550), 40, 40, 550);
  p.write("Inside GoogLeNet", 630, 78, 38, "ink", true);
  p.write(words.tagline, 630, 112, 19, "soft");
  const side = 52;
  STAGES.forEach((name, i) => {
    const x = 630 + i * (side + 5) + Math.floor(i / 3) * 5;
    if (state.answer.grids[name]) p.place(overlay(name, side), x, 142, side);
    p.write(name, x + side / 2, 142 + side + 19, 14, name === state.stage ? "accent" : "soft", false, "center");
  });
  const { heads } = state.answer.result;
  HEADS.filter(head => heads[head]).forEach((head, i) => {
    p.write(`${words[head]} · ${head}`, 630, 262 + i * 62, 16, "soft");
    p.bar(/** @type {Prediction[]} */ (heads[head])[0], 630, 270 + i * 62, 440, 1160, 21);
  });
  p.wrap(said(), 630, 478, 19, 530);
  return p.canvas;
}

/** @param {Blob | BlobPart} content @param {string} type @param {string} name of the file */
export function download(content, type, name) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  html`<a href="${url}" download="${name}"></a>`.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
/** Save something of the painted answer. @param {Blob | BlobPart} content @param {string} type @param {string} name */
function save(content, type, name) {
  const about = [state.answer.result.image.replace(/\.[^.]*$/, ""), askedName().replace(/[^\p{L}\p{N}]+/gu, "-"), name];
  download(content, type, about.join("-"));
}
/** @param {() => HTMLCanvasElement} draw @returns {Promise<Blob>} */
async function png(draw) {
  await document.fonts.ready;
  return new Promise((done, failed) => draw().toBlob(blob => (blob ? done(blob) : failed(new Error("no PNG"))), "image/png"));
}
/** @param {() => HTMLCanvasElement} draw @param {string} name */
async function savePng(draw, name) {
  save(await png(draw), "image/png", name);
}
/** @param {string} text */
function tell(text) {
  $(".take-say").textContent = text;
}
/** The enlarged stage alone, in pixels. */
const stagePicture = () => overlay(state.stage, 1080);

/** Copy something, and say so. @param {() => Promise<void>} act @param {string} done @param {string} failed */
async function copy(act, done, failed) {
  try {
    await act(); // there is no clipboard on plain http
    tell(done);
  } catch {
    tell(failed);
  }
}
/** what a button of the menu does @type {Record<string, () => unknown>} */
const takes = {
  png: () => savePng(sheet, "sheet.png"),
  card: () => savePng(shareCard, "card.png"),
  stage: () => savePng(stagePicture, `${state.stage}.png`),
  copy() {
    const item = () => new ClipboardItem({ "image/png": png(stagePicture) }); // Safari wants the promise, within the click
    copy(() => navigator.clipboard.write([item()]), say("copied_stage", { stage: state.stage }), words.no_copy);
  },
  json: () => save(JSON.stringify(state.answer.result, null, 1), "application/json", "explanation.json"),
  async npz() {
    tell(words.working);
    const reply = await request("maps", {});
    tell("");
    if (reply) save(bytes(reply.npz), "application/octet-stream", "maps.npz");
  },
  link() {
    const url = link();
    if (url) copy(() => navigator.clipboard.writeText(url), words.copied, url);
    else tell(words.own_link);
  },
};
on(".takes", "click", ({ target }) => {
  const kind = target.dataset.take;
  if (!kind || !state.answer) return;
  tell("");
  $(".take details").open = false;
  takes[kind]();
});
rove($(".takes"));
