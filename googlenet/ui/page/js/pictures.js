// @ts-check
// Bringing a picture: from the examples, from disk, clipboard, drop or camera. A large photograph is reduced here before it is
// sent, and what this browser opens and the server does not (HEIC in Safari) goes as a JPEG.
import { ask, begin, fail } from "./asking.js";
import { paintPhoto } from "./drawing.js";
import { complain } from "./notices.js";
import { $, $$, make, props, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { deliver } from "./uploading.js";
import { say, words } from "./words.js";

const MEGABYTES = 1024 * 1024;
const SENT_WHOLE = 2 * MEGABYTES;
const LARGEST = 20 * MEGABYTES; // what the server takes
const SIDE = 1600; // longer side in pixels of a reduced copy
const TYPES = ["jpeg", "png", "webp", "gif", "bmp", "tiff"].map(type => `image/${type}`);

$(".file").accept = "image/*,.tif,.tiff,.heic,.heif";
for (const example of props.examples) {
  const image = make("img", { src: example.thumb, alt: "", width: 56, height: 56 });
  const onclick = () => ask({ example: example.name, head: state.wanted?.head });
  $(".examples").append(
    make(
      "button",
      {
        type: "button",
        "data-example": example.name,
        "aria-label": example.own ? `${example.name}: ${words[`example_${example.name}`]}` : example.name,
        onclick,
      },
      image,
    ),
  );
}

/** Say what an example shows: the one under the pointer, else the one that is explained; or the name of one's own picture.
 * @param {string} [name] */
function caption(name) {
  const shown = name ?? state.answer?.asked.example;
  const { own } = props.examples.find((/** @type {any} */ each) => each.name === shown) ?? {};
  $(".role").textContent = own ? words[`example_${shown}`] : (shown ?? state.answer?.result.image ?? "");
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

/** A picture from disk, clipboard, drop or camera. @param {File | null | undefined} given */
export async function bring(given) {
  if (!given) return;
  const name = given.name || "picture.png";
  if (given.type === "image/svg+xml" || /\.svgz?$/i.test(name)) return complain(say("no_svg", { name }));
  const signal = begin(words.uploading);
  const bitmap = await createImageBitmap(given, { imageOrientation: "from-image" }).catch(() => null);
  if (signal.aborted) return;
  /** @type {{file: File, original: number[] | null}} */
  let picture = { file: given.name ? given : new File([given], name, { type: given.type }), original: null };
  if (bitmap) {
    paintPhoto($(".picture"), bitmap); // a look at it while it travels
    $(".photo .marks").replaceChildren();
    if (given.size > SENT_WHOLE || !TYPES.includes(given.type)) picture = await reduced(bitmap, name);
  }
  if (signal.aborted) return;
  if (picture.file.size > LARGEST) return fail(say("too_large", { name }));
  try {
    const path = await deliver(picture, signal);
    if (!signal.aborted) ask({ head: state.wanted?.head ?? "main", path, original: picture.original });
  } catch (error) {
    if (!signal.aborted) fail(/** @type {Error} */ (error).message);
  }
}
subscribe(["answer"], () => {
  for (const example of $$("[data-example]"))
    example.setAttribute("aria-pressed", example.dataset.example === state.wanted.example);
  caption();
  rove($(".examples"), $(".examples [aria-pressed=true]"));
});
$(".examples").setAttribute("aria-label", words.examples);

$(".choose").addEventListener("click", () => $(".file").click());
$(".photo").addEventListener("click", () => $(".file").click());
$(".file").addEventListener("change", (/** @type {any} */ event) => {
  bring(event.target.files[0]);
  event.target.value = "";
});
window.addEventListener("paste", event => {
  const data = event.clipboardData;
  const field = /** @type {any} */ (event.target)?.closest?.("input, textarea");
  if (field && data?.types.includes("text/plain")) return; // in a field, text wins over a bitmap of it
  if (!data?.files.length) return refuseLink(data);
  event.preventDefault();
  bring(data.files[0]);
});
/** @param {DataTransfer | null} data */
function refuseLink(data) {
  if (/^(https?|data|blob|file):/i.test(data?.getData("text/uri-list") || data?.getData("text/plain") || ""))
    complain(words.no_link);
}
const brings = (/** @type {DragEvent} */ event, /** @type {string[]} */ ...types) =>
  types.some(type => event.dataTransfer?.types.includes(type));
window.addEventListener("dragover", event => {
  if (!brings(event, "Files", "text/uri-list")) return;
  event.preventDefault();
  $(".drop").hidden = !brings(event, "Files");
});
window.addEventListener("dragleave", event => {
  if (!event.relatedTarget) $(".drop").hidden = true;
});
window.addEventListener("drop", event => {
  $(".drop").hidden = true;
  if (!brings(event, "Files", "text/uri-list")) return;
  event.preventDefault();
  if (brings(event, "Files")) bring(event.dataTransfer?.files[0]);
  else refuseLink(event.dataTransfer);
});
