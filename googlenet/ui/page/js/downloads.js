// @ts-check
// The contact sheet as a picture, drawn here: in the visitor's language, and without sending the picture again.
import { link } from "./address.js";
import { askedName, summary } from "./answer.js";
import { request } from "./asking.js";
import { overlay } from "./drawing.js";
import { said } from "./heads.js";
import { $, BRANCHES, bytes, HEADS, html, LAST, newCanvas, STAGES } from "./page.js";
import { state } from "./store.js";
import { branchName, nameOf, percent, say, words } from "./words.js";

/** @param {HTMLCanvasElement} canvas */
function pen(canvas) {
  const made = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const style = getComputedStyle($(".page"));
  const tone = (/** @type {string} */ name) => style.getPropertyValue(`--w-${name}`).trim();
  return {
    made,
    tone,
    /** @param {string} text @param {number} x @param {number} y @param {number} size @param {string} [name] @param {string} [weight] */
    write(text, x, y, size, name = "ink", weight = "400", align = /** @type {CanvasTextAlign} */ ("left")) {
      made.font = `${weight} ${size}px ${style.fontFamily}`;
      made.fillStyle = tone(name);
      made.textAlign = align;
      made.fillText(text, x, y);
    },
    /** Write lines that fit a width. @returns {number} where the next line stands @param {string} text @param {number} x
     * @param {number} y @param {number} size @param {number} width @param {string} [name] */
    wrap(text, x, y, size, width, name = "ink") {
      made.font = `400 ${size}px ${style.fontFamily}`;
      let line = "";
      for (const word of text.split(" ")) {
        if (line && made.measureText(`${line} ${word}`).width > width) {
          this.write(line, x, y, size, name);
          y += size * 1.45;
          line = word;
        } else line = line ? `${line} ${word}` : word;
      }
      this.write(line, x, y, size, name);
      return y + size * 1.45;
    },
    /** A picture, whole, in a square. @param {any} picture @param {number} x @param {number} y @param {number} side */
    place(picture, x, y, side) {
      const scale = side / Math.max(picture.width, picture.height);
      const [width, height] = [picture.width * scale, picture.height * scale];
      made.drawImage(picture, x + (side - width) / 2, y + (side - height) / 2, width, height);
    },
  };
}

/** What a drawing says of its origin: weights and, where the picture is an example, the address. */
function credits() {
  const { source, revision, sha256 } = state.answer.result.weights;
  const of = revision ? `${source}@${revision.slice(0, 12)}` : source;
  return [`${words.weights}: ${of.split("/").pop() && of}, SHA-256 ${sha256.slice(0, 12)}`, link()].filter(Boolean).join("  ·  ");
}

/** @returns {Promise<HTMLCanvasElement>} */
async function sheet() {
  await document.fonts.ready;
  const [cell, gap, margin] = [176, 10, 40];
  const act = 3 * cell + 2 * gap;
  const left = margin + 2 * cell + 3 * gap;
  const width = left + 3 * act + 4 * gap + margin;
  const canvas = newCanvas(width, 760);
  const p = pen(canvas);
  p.made.fillStyle = p.tone("bg");
  p.made.fillRect(0, 0, width, canvas.height);
  p.write("Inside GoogLeNet", margin, 58, 28, "ink", "700");
  const { head } = state.answer.result.question;
  p.write(
    say("sheet_about", { head: `${words[head]} (${head})`, class: askedName(), name: state.answer.result.image }),
    margin,
    88,
    16,
    "soft",
  );
  sheetPhoto(p, margin, 112, 2 * cell);
  HEADS.forEach((each, i) => {
    const x = left + i * (act + 2 * gap);
    STAGES.slice(3 * i, 3 * i + 3).forEach((name, column) => {
      sheetStage(p, name, x + column * (cell + gap), 112, cell);
    });
    sheetHead(p, each, x, 112 + cell + 84, act);
  });
  const below = p.wrap(said(), margin, 640, 18, width - 2 * margin);
  p.write(credits(), margin, below + 12, 14, "soft");
  p.write(words.sheet_note, margin, below + 36, 14, "soft");
  return canvas;
}

/** The photograph, with the frame of what the network looked at.
 * @param {ReturnType<typeof pen>} p @param {number} x @param {number} y @param {number} side */
function sheetPhoto(p, x, y, side) {
  p.place($(".picture"), x, y, side);
  const [width, height] = state.answer.size;
  const scale = side / Math.max(width, height);
  const [x0, y0, x1, y1] = state.answer.result.seen.map(edge => edge * scale);
  const [left, top] = [x + (side - width * scale) / 2, y + (side - height * scale) / 2];
  for (const [line, tone] of [
    [4, "rgb(0 0 0 / .5)"],
    [1.5, "#fff"],
  ]) {
    p.made.lineWidth = /** @type {number} */ (line);
    p.made.strokeStyle = /** @type {string} */ (tone);
    p.made.strokeRect(left + x0, top + y0, x1 - x0, y1 - y0);
  }
}

/** @param {ReturnType<typeof pen>} p @param {string} name @param {number} x @param {number} y @param {number} cell */
function sheetStage(p, name, x, y, cell) {
  if (!state.answer.grids[name]) {
    p.made.fillStyle = p.tone("well");
    p.made.fillRect(x, y, cell, cell);
    p.write(name, x, y + cell + 20, 14, "soft");
    return;
  }
  p.place(overlay(name, cell), x, y, cell);
  const { size, branches } = summary(name);
  p.write(name, x, y + cell + 20, 14, "ink", "700");
  p.write(size.join("×"), x + 26, y + cell + 20, 14, "soft");
  const shares = BRANCHES.map(b => `${branchName(b)} ${percent(branches[b])}`);
  p.write(shares.slice(0, 2).join("  "), x, y + cell + 38, 12, "soft"); // four in one line run into the next stage
  p.write(shares.slice(2).join("  "), x, y + cell + 54, 12, "soft");
}

/** @param {ReturnType<typeof pen>} p @param {string} head @param {number} x @param {number} y @param {number} width */
function sheetHead(p, head, x, y, width) {
  p.write(words[head], x, y, 17, "ink", "700");
  p.write(`${head} · ${say("after", { stage: LAST[head] })}`, x + width, y, 14, "soft", "400", "right");
  const rows = state.answer.result.heads[head];
  if (!rows) return p.write(say("absent", { head }), x, y + 32, 14, "soft");
  const { target } = state.answer.result.question;
  const known = rows.some(row => row.index === target.index); // never a group
  const shown = known ? rows : [...rows, { ...target, probability: state.answer.result.belief[head] }];
  shown.forEach((row, i) => {
    const line = y + 14 + i * 29;
    const isAsked = row.index === target.index;
    p.made.fillStyle = p.tone(isAsked ? "tint" : "bar");
    p.made.fillRect(x, line, Math.max(4, (width - 70) * row.probability), 25);
    p.write(nameOf(row), x + 8, line + 18, 15, "ink", isAsked ? "700" : "400");
    p.write(percent(row.probability), x + width, line + 18, 15, "ink", isAsked ? "700" : "400", "right");
  });
}

/** A picture of 1200×630 to share: the enlarged stage, the walk, and what the heads say. @returns {Promise<HTMLCanvasElement>} */
async function shareCard() {
  await document.fonts.ready;
  const canvas = newCanvas(1200, 630);
  const p = pen(canvas);
  p.made.fillStyle = p.tone("bg");
  p.made.fillRect(0, 0, 1200, 630);
  p.place(overlay(state.stage, 550), 40, 40, 550);
  p.write("Inside GoogLeNet", 630, 78, 38, "ink", "700");
  p.write(words.tagline, 630, 112, 19, "soft");
  const side = 52;
  STAGES.forEach((name, i) => {
    const x = 630 + i * (side + 5) + Math.floor(i / 3) * 5;
    if (state.answer.grids[name]) p.place(overlay(name, side), x, 142, side);
    p.write(name, x + side / 2, 142 + side + 19, 14, name === state.stage ? "accent" : "soft", "400", "center");
  });
  HEADS.filter(head => state.answer.result.heads[head]).forEach((head, i) => {
    const y = 262 + i * 62;
    const best = /** @type {Prediction[]} */ (state.answer.result.heads[head])[0];
    p.write(`${words[head]} · ${head}`, 630, y, 16, "soft");
    p.made.fillStyle = p.tone(best.index === state.answer.result.question.target.index ? "tint" : "bar");
    p.made.fillRect(630, y + 8, Math.max(5, 440 * best.probability), 34);
    p.write(nameOf(best), 640, y + 32, 21, "ink", "700");
    p.write(percent(best.probability), 1160, y + 32, 21, "ink", "700", "right");
  });
  p.wrap(said(), 630, 478, 19, 530);
  return canvas;
}

// Taking it along.

/** @param {BlobPart} content @param {string} type @param {string} name of the file */
export function download(content, type, name) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  html`<a href="${url}" download="${name}"></a>`.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
/** Save something of the painted answer. @param {BlobPart} content @param {string} type @param {string} name */
function save(content, type, name) {
  const about = [state.answer.result.image.replace(/\.[^.]*$/, ""), askedName().replace(/[^\p{L}\p{N}]+/gu, "-"), name];
  download(content, type, about.join("-"));
}
/** @param {string} text */
function tell(text) {
  $(".take-say").textContent = text;
}

const STAGE_SIDE = 1080; // pixels of the enlarged stage as a picture

/** The enlarged stage alone, as PNG. @returns {Promise<Blob>} */
function stagePicture() {
  return new Promise((done, failed) =>
    overlay(state.stage, STAGE_SIDE).toBlob(
      (/** @type {Blob | null} */ blob) => (blob ? done(blob) : failed(new Error("no PNG"))),
      "image/png",
    ),
  );
}

/** what a button of the row does @type {Record<string, () => unknown>} */
const takes = {
  png: () => sheet().then(canvas => canvas.toBlob(blob => blob && save(blob, "image/png", "sheet.png"))),
  card: () => shareCard().then(canvas => canvas.toBlob(blob => blob && save(blob, "image/png", "card.png"))),
  stage: () => stagePicture().then(blob => save(blob, "image/png", `${state.stage}.png`)),
  copy: () => {
    const item = () => new ClipboardItem({ "image/png": stagePicture() }); // Safari wants the promise, within the click
    Promise.resolve()
      .then(() => navigator.clipboard.write([item()]))
      .then(
        () => tell(say("copied_stage", { stage: state.stage })),
        () => tell(words.no_copy),
      );
  },
  json: () => save(JSON.stringify(state.answer.result, null, 1), "application/json", "explanation.json"),
  npz: async () => {
    tell(words.working);
    const reply = await request("maps", {});
    tell("");
    if (reply) save(bytes(reply.npz), "application/octet-stream", "maps.npz");
  },
  link: () => {
    const url = link();
    const copied = async () => url && navigator.clipboard.writeText(url); // there is no clipboard on plain http
    copied().then(
      () => tell(url ? words.copied : words.own_link),
      () => tell(url ?? ""),
    );
  },
};
$(".takes").addEventListener("click", (/** @type {any} */ event) => {
  const kind = event.target.dataset.take;
  if (!kind || !state.answer) return;
  tell("");
  $(".take details").open = false;
  takes[kind]();
});
