// @ts-check
// Drawing a picture under a map: the same formula as render.spotlight.

function unpack(packed) {
  // → {h, w, branches: [4 × Float32Array], sum: Float32Array, peak}
  const [, h, w] = packed.shape,
    whole = new Int16Array(bytes(packed.data).buffer),
    cells = h * w;
  const branches = BRANCHES.map((_, b) => Float32Array.from(whole.subarray(b * cells, (b + 1) * cells), v => v * packed.factor));
  const sum = new Float32Array(cells).map((_, i) => branches[0][i] + branches[1][i] + branches[2][i] + branches[3][i]);
  const top = sum.reduce((best, v, i) => (v > sum[best] ? i : best), 0);
  return { h, w, branches, sum, peak: Math.max(sum[top], 1e-12), top };
}

const bases = new WeakMap(); // picture → {"w×h": its pixels at that size}, since nine canvases share one
function base(width, height) {
  if (!bases.has(photo)) bases.set(photo, {});
  return (bases.get(photo)[`${width}×${height}`] ||= (() => {
    const pen = /** @type {any} */ (new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true }));
    pen.imageSmoothingQuality = "high";
    pen.drawImage(photo, 0, 0, width, height);
    return pen.getImageData(0, 0, width, height).data;
  })());
}

function axis(pixels, start, end, cells, smooth) {
  // for each pixel: the two cells it lies between and the share of the second
  const low = new Int16Array(pixels),
    high = new Int16Array(pixels),
    part = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) {
    const at = ((i + 0.5 - start) / (end - start)) * cells;
    if (at < 0 || at > cells) {
      low[i] = -1;
      continue;
    }
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

function paint(canvas, grid, values, peak) {
  // the canvas takes the picture's shape, as large as the square cell it stands in
  const dpr = Math.min(devicePixelRatio || 1, 2),
    side = canvas.parentElement.clientWidth * dpr || 112;
  const shrink = side / Math.max(photo.width, photo.height);
  const width = Math.max(1, Math.round(photo.width * shrink)),
    height = Math.max(1, Math.round(photo.height * shrink));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  canvas.style.width = width / dpr + "px";
  canvas.style.height = height / dpr + "px";
  const p = base(width, height),
    image = new ImageData(width, height),
    q = image.data;
  if (!grid) q.set(p);
  else
    light(
      q,
      p,
      width,
      height,
      dpr,
      grid,
      values.map(v => Math.min(1, Math.max(0, v / peak))),
    );
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function light(q, p, width, height, dpr, grid, heat) {
  const { dim, keep, add, hatch_period, hatch_width, hatch_light } = SPOTLIGHT;
  const [red, green, blue] = SPOTLIGHT.luminance,
    [from, range] = SPOTLIGHT.tint;
  const strength = +$(".looks .heat").value,
    hidden = +$(".looks .threshold").value,
    smooth = !$(".looks .cells").checked;
  const [x0, y0, x1, y1] = answer.result.seen.map(edge => (edge * width) / answer.size[0]);
  const across = axis(width, x0, x1, grid.w, smooth),
    down = axis(height, y0, y1, grid.h, smooth);
  for (let y = 0, k = 0; y < height; y++) {
    const a = down.low[y] * grid.w,
      b = down.high[y] * grid.w,
      t = down.part[y],
      row = down.low[y] >= 0;
    for (let x = 0; x < width; x++, k += 4) {
      const l = across.low[x],
        r = across.high[x],
        s = across.part[x],
        seen = row && l >= 0;
      let v = 0;
      if (seen) {
        v = (heat[a + l] * (1 - s) + heat[a + r] * s) * (1 - t) + (heat[b + l] * (1 - s) + heat[b + r] * s) * t;
        if (v < hidden) v = 0;
      }
      const soft = v * v * (3 - 2 * v),
        tint = (((from + range * v) * 255) | 0) * 3;
      const dark =
        (red * p[k] + green * p[k + 1] + blue * p[k + 2]) * dim * (1 - soft) +
        (!seen && ((x + y) / dpr) % hatch_period < hatch_width ? hatch_light : 0);
      for (let c = 0; c < 3; c++) {
        const shade = dark + (p[k + c] * keep + magma[tint + c] * add) * soft;
        q[k + c] = p[k + c] + (shade - p[k + c]) * strength;
      }
      q[k + 3] = 255;
    }
  }
}
