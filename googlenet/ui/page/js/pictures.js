// @ts-check
// Bringing a picture: from the examples, from disk, clipboard, drop or camera. A large photograph is reduced here before it is
// sent, and what this browser opens and the server does not (HEIC in Safari) goes as a JPEG.

const SENT_WHOLE = 2 * MEGABYTES;
const LARGEST = 20 * MEGABYTES; // what the server takes
const SIDE = 1600; // longer side in pixels of a reduced copy
const TYPES = ["jpeg", "png", "webp", "gif", "bmp", "tiff"].map(type => `image/${type}`);
/** @type {XMLHttpRequest | null} */ let uploading = null;

$(".file").accept = "image/*,.tif,.tiff,.heic,.heif";
for (const example of props.examples) {
  const image = make("img", { src: example.thumb, alt: "", width: 56, height: 56 });
  const onclick = () => ask({ example: example.name, head: wanted?.head });
  $(".examples").append(
    make(
      "button",
      {
        type: "button",
        "data-example": example.name,
        "aria-label": `${example.name}: ${words[`example_${example.name}`]}`,
        onclick,
      },
      image,
    ),
  );
}

/** Say what an example shows: the one under the pointer, else the one that is explained; or the name of one's own picture.
 * @param {string} [name] */
function caption(name) {
  const shown = name ?? answer?.asked.example;
  $(".role").textContent = shown ? words[`example_${shown}`] : (answer?.result.image ?? "");
}
for (const event of ["mouseover", "focusin"]) {
  $(".examples").addEventListener(event, (/** @type {any} */ { target: node }) =>
    caption(node.closest("[data-example]")?.dataset.example),
  );
}
for (const event of ["mouseleave", "focusout"]) $(".examples").addEventListener(event, () => caption());

/** Draw a picture upright, as a JPEG of bounded side on white. @param {ImageBitmap} bitmap @param {string} name */
async function reduced(bitmap, name) {
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const size = [bitmap.width, bitmap.height].map(side => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(size[0], size[1]);
  const pen = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = "white";
  pen.fillRect(0, 0, size[0], size[1]);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, size[0], size[1]);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  return {
    file: new File([blob], name.replace(/\.[^.]*$/, ".jpg"), { type: "image/jpeg" }),
    original: [bitmap.width, bitmap.height],
  };
}

/** Send a file to the server's folder of uploads. @param {File} file @returns {Promise<string>} its path there */
function deliver(file) {
  const { root, api_prefix } = /** @type {any} */ (window).gradio_config;
  const form = new FormData();
  form.append("files", file);
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    uploading = request;
    request.upload.onprogress = ({ loaded, total }) => {
      if (loaded < total) notice(say("uploading_share", { share: Math.round((loaded / total) * 100) }));
      if (Date.now() - started > SLOW) $(".stop").hidden = false;
    };
    const started = Date.now();
    request.onload = () =>
      request.status === 200 ? done(JSON.parse(request.responseText)[0]) : failed(new Error(`${request.status}`));
    request.onerror = request.onabort = () => failed(new Error("not sent"));
    request.open("POST", `${root}${api_prefix}/upload`);
    request.send(form);
  });
}
function cancelUpload() {
  uploading?.abort();
}

/** A picture from disk, clipboard, drop or camera. @param {File | null | undefined} given */
async function bring(given) {
  if (!given) return;
  const name = given.name || "picture.png";
  if (given.type === "image/svg+xml" || /\.svgz?$/i.test(name)) return complain(say("no_svg", { name }));
  stopPlaying();
  const number = ++asked;
  busy(words.uploading);
  const bitmap = await createImageBitmap(given, { imageOrientation: "from-image" }).catch(() => null);
  if (number !== asked) return;
  /** @type {{file: File, original: number[] | null}} */
  let picture = { file: given.name ? given : new File([given], name, { type: given.type }), original: null };
  if (bitmap) {
    preview(bitmap);
    if (given.size > SENT_WHOLE || !TYPES.includes(given.type)) picture = await reduced(bitmap, name);
  }
  if (number !== asked) return;
  if (picture.file.size > LARGEST) return fail(say("too_large", { name }));
  await sendPicture(picture, number, { head: wanted?.head });
}
/** A look at the picture while it travels. @param {ImageBitmap} bitmap */
function preview(bitmap) {
  const before = [photo, answer];
  [photo, answer] = [bitmap, null];
  paintPhoto($(".picture"), [0, 0, bitmap.width, bitmap.height]);
  $(".photo .marks").replaceChildren();
  [photo, answer] = before;
}
/** Send a picture and ask about it. @param {{file: File, original: number[] | null}} picture @param {number} number
 * @param {any} question */
async function sendPicture(picture, number, question) {
  try {
    const path = await deliver(picture.file);
    if (number !== asked) return;
    keep({ ...picture, path });
    ask({ ...question, path, example: null, original: picture.original });
  } catch (error) {
    const text = /** @type {Error} */ (error).message === "507" ? "disk_full" : "upload_failed";
    if (number === asked) fail(say(text, { name: picture.file.name }));
  }
}
/** Send a picture again that the server has lost. @param {{file: File, original: number[] | null}} picture */
function resend(picture) {
  busy(words.uploading);
  sendPicture(picture, ++asked, { ...wanted });
}

$(".choose").addEventListener("click", () => $(".file").click());
$(".photo").addEventListener("click", () => $(".file").click());
$(".file").addEventListener("change", (/** @type {any} */ event) => {
  bring(event.target.files[0]);
  event.target.value = "";
});
window.addEventListener("paste", event => {
  const data = event.clipboardData;
  const field = /** @type {any} */ (event.target)?.closest?.("input, textarea");
  if (!data?.files.length || (field && data.types.includes("text/plain"))) return; // in a field, text wins over a bitmap of it
  event.preventDefault();
  bring(data.files[0]);
});
const bringsFiles = (/** @type {DragEvent} */ event) => [...(event.dataTransfer?.types || [])].includes("Files");
window.addEventListener("dragover", event => {
  if (!bringsFiles(event)) return;
  event.preventDefault();
  $(".drop").hidden = false;
});
window.addEventListener("dragleave", event => {
  if (!event.relatedTarget) $(".drop").hidden = true;
});
window.addEventListener("drop", event => {
  $(".drop").hidden = true;
  if (!bringsFiles(event)) return;
  event.preventDefault();
  bring(event.dataTransfer?.files[0]);
});
