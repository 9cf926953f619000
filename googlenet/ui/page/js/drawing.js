// @ts-check
// Drawing a picture under a map: the same formula as render.Photograph, for the part that the network looked at.

/**
 * @typedef {object} Grid a stage's map on its own cells, unpacked from handlers.packed_grid
 * @property {number} h
 * @property {number} w
 * @property {Float32Array[]} branches signed, in logit units, in the order of BRANCHES
 * @property {Float32Array} sum their sum
 * @property {number} peak its largest value
 * @property {number} top the index of its strongest cell
 */

/** @param {any} packed @returns {Grid} */
function unpack(packed) {
  const [, h, w] = packed.shape;
  const whole = new Int16Array(bytes(packed.data).buffer);
  const cells = h * w;
  const branches = BRANCHES.map((/** @type {string} */ _, /** @type {number} */ b) =>
    Float32Array.from(whole.subarray(b * cells, (b + 1) * cells), v => v * packed.factor),
  );
  const sum = new Float32Array(cells).map((_, i) => branches[0][i] + branches[1][i] + branches[2][i] + branches[3][i]);
  const top = sum.reduce((best, v, i) => (v > sum[best] ? i : best), 0);
  return { h, w, branches, sum, peak: Math.max(sum[top], 1e-12), top };
}

/** What the controls beside the enlarged stage say. */
function looks() {
  return {
    strength: +$(".looks .overlay").value,
    hidden: +$(".looks .threshold").value,
    smooth: !$(".looks .cells").checked,
    against: $(".looks .against").checked,
  };
}

/** The part of the picture that overlays show, in its pixels: what the network looked at. */
function view() {
  return answer.result.seen;
}

/** picture → {"size and part": its pixels}, since nine canvases share one @type {WeakMap<any, Record<string, Uint8ClampedArray>>} */
const bases = new WeakMap();
/** The pixels of a part of the picture at a size. @param {number} width @param {number} height @param {number[]} part */
function base(width, height, part) {
  if (!bases.has(photo)) bases.set(photo, {});
  const kept = /** @type {Record<string, Uint8ClampedArray>} */ (bases.get(photo));
  return (kept[`${width}×${height} ${part}`] ||= (() => {
    const pen = /** @type {any} */ (new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true }));
    const scale = answer ? photo.width / answer.size[0] : 1;
    const [x0, y0, x1, y1] = part.map(edge => edge * scale);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(photo, x0, y0, x1 - x0, y1 - y0, 0, 0, width, height);
    return pen.getImageData(0, 0, width, height).data;
  })());
}

/** For each pixel of a line: the two cells that it lies between and the share of the second.
 * @param {number} pixels @param {number} cells @param {boolean} smooth */
function axis(pixels, cells, smooth) {
  const low = new Int16Array(pixels);
  const high = new Int16Array(pixels);
  const part = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) {
    const at = ((i + 0.5) / pixels) * cells;
    if (!smooth) {
      low[i] = high[i] = Math.min(cells - 1, at | 0);
      continue;
    }
    const centre = Math.min(cells - 1, Math.max(0, at - 0.5));
    low[i] = centre | 0;
    high[i] = Math.min(cells - 1, low[i] + 1);
    part[i] = centre - low[i];
  }
  return { low, high, part };
}

/** Give a canvas the shape of a part of the picture, as large as the square it stands in. @param {any} canvas @param {number[]} part */
function fit(canvas, part) {
  const dpr = Math.min(devicePixelRatio || 1, 2);
  const side = canvas.closest(".cell, .photo, .big").clientWidth * dpr || 112;
  const [across, down] = [part[2] - part[0], part[3] - part[1]];
  const shrink = side / Math.max(across, down);
  const width = Math.max(1, Math.round(across * shrink));
  const height = Math.max(1, Math.round(down * shrink));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  canvas.style.width = `${width / dpr}px`;
  canvas.style.height = `${height / dpr}px`;
}

/** Draw the picture as it is. @param {any} canvas @param {number[]} part */
function paintPhoto(canvas, part) {
  fit(canvas, part);
  const image = new ImageData(canvas.width, canvas.height);
  image.data.set(base(canvas.width, canvas.height, part));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Draw the picture under a map's values, divided by a scale. @param {any} canvas @param {Grid} grid
 * @param {Float32Array} values @param {number} scale */
function paint(canvas, grid, values, scale) {
  const part = view();
  fit(canvas, part);
  const image = new ImageData(canvas.width, canvas.height);
  light(image, base(canvas.width, canvas.height, part), grid, values, scale);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The largest value for the class or, where evidence against it is shown too, of either sign. @param {Float32Array[]} maps */
function scaleOf(maps) {
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
  const { strength, hidden, smooth, against } = looks();
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
      if (v < hidden) v = 0;
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

/** magma's colour for evidence v in 0…1, or for evidence against, as CSS. @param {number} v */
function colour(v, against = false) {
  const [from, range] = SPOTLIGHT.tint;
  const at = (((from + range * v) * 255) | 0) * 3;
  return `rgb(${(against ? blues : magma).slice(at, at + 3).join(" ")})`;
}

/** An element of an SVG drawing. @returns {any} @param {string} tag @param {Record<string, any>} attributes @param {string} [text] */
function draw(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

/** Draw frames over a canvas, in pixels of the picture. @param {any} root an element that holds a canvas and its .marks
 * @param {number[]} part what the canvas shows @param {{box: number[], class: string}[]} frames */
function mark(root, part, frames) {
  const marks = root.querySelector(".marks");
  marks.setAttribute("viewBox", `${part[0]} ${part[1]} ${part[2] - part[0]} ${part[3] - part[1]}`);
  marks.setAttribute("preserveAspectRatio", "none");
  marks.replaceChildren(
    ...frames.flatMap(({ box: [x0, y0, x1, y1], class: name }) => {
      const [left, top] = [Math.max(part[0], x0), Math.max(part[1], y0)];
      const [right, bottom] = [Math.min(part[2], x1), Math.min(part[3], y1)];
      const at = { x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
      return [draw("rect", { ...at, class: `halo ${name}` }), draw("rect", { ...at, class: name })];
    }),
  );
}
