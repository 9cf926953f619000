// Drawing a picture under a map: the same formula as render.Photograph, for the part that the network looked at.
import { $, BRANCHES, bytes, html, newCanvas, props, SPOTLIGHT, svg } from "./page.js";
import { state } from "./store.js";

const magma = bytes(props.magma);
const blues = bytes(props.blues); // for evidence against

/** A reply with its grids unpacked, wherever they stand. @param {any} reply @returns {any} */
export function unpacked(reply) {
  if (Array.isArray(reply)) return reply.map(unpacked);
  if (!reply || typeof reply !== "object") return reply;
  if ("factor" in reply) return unpack(reply);
  return Object.fromEntries(Object.entries(reply).map(([name, value]) => [name, unpacked(value)]));
}
/** A grid of `messages.packed_grid`. @param {any} packed @returns {Grid} */
function unpack(packed) {
  const [, h, w] = packed.shape;
  const whole = new Int16Array(bytes(packed.data).buffer);
  const cells = h * w;
  const branches = BRANCHES.map((_, b) => Float32Array.from(whole.subarray(b * cells, (b + 1) * cells), v => v * packed.factor));
  const sum = new Float32Array(cells).map((_, i) => branches[0][i] + branches[1][i] + branches[2][i] + branches[3][i]);
  const top = sum.reduce((best, v, i) => (v > sum[best] ? i : best), 0);
  return { h, w, branches, sum, peak: Math.max(sum[top], 1e-12), top };
}

/** What the controls beside the enlarged stage say. */
export function looks() {
  const [overlay, cells, against] = [$(".overlay"), $(".cells"), $(".against")];
  return { strength: +overlay.value, smooth: !cells.checked, against: against.checked && !against.disabled };
}

/** picture → {"size and part": its pixels}, since nine canvases share one @type {WeakMap<any, Record<string, ImageDataArray>>} */
const bases = new WeakMap();
/** The pixels of what an answer's overlays show, at a size. @param {Kept} of @param {number} width @param {number} height */
function base({ answer, photo }, width, height) {
  const [x0, y0, x1, y1] = answer.result.seen.map(edge => (edge * photo.width) / answer.size[0]);
  const kept = bases.get(photo) ?? {};
  const name = `${width}×${height} ${[x0, y0, x1, y1]}`;
  bases.set(photo, kept);
  if (!kept[name]) {
    const pen = /** @type {any} */ (new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true }));
    pen.imageSmoothingQuality = "high";
    pen.drawImage(photo, x0, y0, x1 - x0, y1 - y0, 0, 0, width, height);
    kept[name] = pen.getImageData(0, 0, width, height).data;
  }
  return kept[name];
}

/** For each pixel of a line: the two cells that it lies between and the share of the second.
 * @param {number} pixels @param {number} cells @param {boolean} smooth */
function axis(pixels, cells, smooth) {
  const low = new Int16Array(pixels);
  const high = new Int16Array(pixels);
  const part = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) {
    const at = ((i + 0.5) / pixels) * cells;
    const centre = Math.min(cells - 1, Math.max(0, smooth ? at - 0.5 : Math.floor(at)));
    low[i] = centre | 0;
    high[i] = Math.min(cells - 1, low[i] + 1);
    part[i] = centre - low[i];
  }
  return { low, high, part };
}

/** Give a canvas the shape of a part of the picture, as large as the square it stands in. @param {any} canvas @param {number[]} part */
function fit(canvas, [x0, y0, x1, y1]) {
  const dpr = Math.min(devicePixelRatio || 1, 2);
  const side = canvas.closest(".cell, .photo, .big").clientWidth * dpr || 112;
  const shrink = side / Math.max(x1 - x0, y1 - y0);
  const [width, height] = [x1 - x0, y1 - y0].map(edge => Math.max(1, Math.round(edge * shrink)));
  Object.assign(canvas, { width, height });
  Object.assign(canvas.style, { width: `${width / dpr}px`, height: `${height / dpr}px` });
}

/** Draw a picture as it is, whole. @param {any} canvas @param {any} photo */
export function paintPhoto(canvas, photo) {
  fit(canvas, [0, 0, photo.width, photo.height]);
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
}

/** Draw what was seen, a part of it under the mean of its surroundings. @param {any} canvas @param {number[] | null} box */
export function paintPart(canvas, box) {
  const [x0, y0, x1, y1] = state.answer.result.seen;
  fit(canvas, state.answer.result.seen);
  const { width, height } = canvas;
  const pen = canvas.getContext("2d");
  pen.putImageData(new ImageData(base(state, width, height), width), 0, 0);
  if (!box) return;
  const [left, right] = [box[0], box[2]].map(x => Math.round(((x - x0) * width) / (x1 - x0)));
  const [top, bottom] = [box[1], box[3]].map(y => Math.round(((y - y0) * height) / (y1 - y0)));
  pen.clearRect(left, top, right - left, bottom - top); // what is clear counts nothing
  const around = pen.getImageData((3 * left - right) / 2, (3 * top - bottom) / 2, 2 * (right - left), 2 * (bottom - top)).data;
  const sums = [0, 0, 0, 0];
  for (let i = 0; i < around.length; i++) sums[i % 4] += around[i];
  pen.fillStyle = `rgb(${sums.slice(0, 3).map(sum => Math.round((255 * sum) / sums[3]))})`;
  pen.fillRect(left, top, right - left, bottom - top);
}

/** Draw the picture under a map's values, divided by a scale: by default the map's own largest value.
 * @param {any} canvas @param {Grid} grid @param {Float32Array} [values] @param {number} [scale] @param {Kept} [of] */
export function paint(canvas, grid, values, scale, of = state) {
  fit(canvas, of.answer.result.seen);
  fill(canvas, grid, values, scale, of);
}
/** @param {any} canvas @param {Grid} grid @param {Float32Array} values @param {number} scale @param {Kept} of */
function fill(canvas, grid, values = grid.sum, scale = scaleOf([values]), of = state) {
  const image = new ImageData(canvas.width, canvas.height);
  light(image, base(of, canvas.width, canvas.height), grid, values, scale);
  canvas.getContext("2d").putImageData(image, 0, 0);
}
/** A square with a map in it, which is painted where it stands. @param {string | null} alt null beside the same in words
 * @param {(canvas: any) => void} act paints the canvas */
export function mapCell(alt, act) {
  const cell = html`<span class="cell"><canvas role="img" aria-label="${alt}" aria-hidden="${alt === null}"></canvas></span>`;
  cell.firstElementChild.paint = act;
  return cell;
}

/** An overlay of a stage at a side in pixels, with the page's controls. @param {string} name @param {number} side */
export function overlay(name, side) {
  const [x0, y0, x1, y1] = state.answer.result.seen;
  const shrink = side / Math.max(x1 - x0, y1 - y0);
  const [width, height] = [x1 - x0, y1 - y0].map(edge => Math.max(1, Math.round(edge * shrink)));
  const canvas = newCanvas(width, height);
  fill(canvas, state.answer.grids[name]);
  return canvas;
}

/** The largest value for the class or, where evidence against it is shown too, of either sign. @param {Float32Array[]} maps */
export function scaleOf(maps) {
  const { against } = looks();
  return Math.max(1e-12, ...maps.map(values => values.reduce((best, v) => Math.max(best, against ? Math.abs(v) : v), 0)));
}

/** @param {ImageData} image @param {Uint8ClampedArray} p the picture's pixels
 * @param {Grid} grid @param {Float32Array} values @param {number} scale */
function light(image, p, grid, values, scale) {
  const { width, height, data: q } = image;
  const { dim, keep, add } = SPOTLIGHT;
  const [red, green, blue] = SPOTLIGHT.luminance;
  const [from, range] = SPOTLIGHT.tint;
  const { strength, smooth, against } = looks();
  const across = axis(width, grid.w, smooth);
  const down = axis(height, grid.h, smooth);
  const lowest = against ? -1 : 0;
  const heat = values.map(v => Math.min(1, Math.max(lowest, v / scale)));
  for (let y = 0, k = 0; y < height; y++) {
    const a = down.low[y] * grid.w;
    const b = down.high[y] * grid.w;
    const t = down.part[y];
    for (let x = 0; x < width; x++, k += 4) {
      const l = across.low[x];
      const r = across.high[x];
      const s = across.part[x];
      let v = (heat[a + l] * (1 - s) + heat[a + r] * s) * (1 - t) + (heat[b + l] * (1 - s) + heat[b + r] * s) * t;
      const colours = v < 0 ? blues : magma;
      v = Math.abs(v);
      const soft = v * v * (3 - 2 * v);
      const tint = (((from + range * v) * 255) | 0) * 3;
      const grey = (red * p[k] + green * p[k + 1] + blue * p[k + 2]) * dim * (1 - soft);
      for (let c = 0; c < 3; c++) {
        const shade = grey + (p[k + c] * keep + colours[tint + c] * add) * soft;
        q[k + c] = p[k + c] + (shade - p[k + c]) * strength;
      }
      q[k + 3] = 255;
    }
  }
}

/** Draw frames over a canvas, in pixels of the picture. @param {any} root an element that holds a canvas and its .marks
 * @param {number[]} part what the canvas shows @param {{box: number[], class: string}[]} frames */
export function mark(root, part, frames) {
  const marks = root.querySelector(".marks");
  marks.setAttribute("viewBox", `${part[0]} ${part[1]} ${part[2] - part[0]} ${part[3] - part[1]}`);
  marks.setAttribute("preserveAspectRatio", "none");
  marks.replaceChildren(
    ...frames.flatMap(({ box: [x0, y0, x1, y1], class: name }) => {
      const [x, y] = [Math.max(part[0], x0), Math.max(part[1], y0)];
      const [width, height] = [Math.max(0, Math.min(part[2], x1) - x), Math.max(0, Math.min(part[3], y1) - y)];
      return [`halo ${name}`, name].map(
        each => svg`<rect class="${each}" x="${x}" y="${y}" width="${width}" height="${height}"/>`,
      );
    }),
  );
}
