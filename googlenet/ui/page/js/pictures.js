// @ts-check
// Sending a picture to the server's folder of uploads.
import { ask, begin, fail } from "./asking.js";
import { SLOW } from "./call.js";
import { paintPhoto } from "./drawing.js";
import { keep, stored } from "./memory.js";
import { complain, notice } from "./notices.js";
import { $, $$, html, newCanvas, props, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { say, words } from "./words.js";

/** Send a picture, for the first time or again. @param {{file: File, original: number[] | null, path?: string}} picture
 * @param {AbortSignal} signal @returns {Promise<string>} its path: the name that it has in this tab from now on */
export async function deliver(picture, signal) {
  const now = await post(picture.file, signal).catch(({ message }) => {
    throw new Error(say(message === "507" ? "disk_full" : "upload_failed", { name: picture.file.name }));
  });
  const path = picture.path ?? now;
  keep({ ...picture, path, now });
  stored("sessionStorage", "brought", true);
  return path;
}

/** Gradio's own `upload` tells nothing of its progress. @param {File} file @param {AbortSignal} signal @returns {Promise<string>} */
function post(file, signal) {
  const form = new FormData();
  form.append("files", file);
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    const started = Date.now();
    request.upload.onprogress = ({ loaded, total }) => {
      if (signal.aborted) return;
      if (loaded < total) notice(say("uploading_share", { share: Math.round((loaded / total) * 100) }));
      if (Date.now() - started > SLOW) $(".stop").hidden = false;
    };
    signal.addEventListener("abort", () => request.abort());
    request.onload = () =>
      request.status === 200 ? done(JSON.parse(request.responseText)[0]) : failed(new Error(`${request.status}`));
    request.onerror = request.onabort = () => failed(new Error("not sent"));
    request.open("POST", new URL("gradio_api/upload", document.baseURI));
    request.send(form);
  });
}

// Bringing a picture: from the examples, from disk, clipboard, drop or camera. A large photograph is reduced here before it is
// sent, and what this browser opens and the server does not (HEIC in Safari) goes as a JPEG.

const MEGABYTES = 1024 * 1024;
const SENT_WHOLE = 2 * MEGABYTES;
const LARGEST = 20 * MEGABYTES; // what the server takes
const SIDE = 1600; // longer side in pixels of a reduced copy
const TYPES = ["jpeg", "png", "webp", "gif", "bmp", "tiff"].map(type => `image/${type}`);

$(".file").accept = "image/*,.tif,.tiff,.heic,.heif";
for (const { name, thumb, own } of props.examples) {
  const press = () => ask({ example: name, head: state.wanted?.head });
  const label = own ? `${name}: ${words[`example_${name}`]}` : name;
  $(".examples").append(
    html`<button type="button" data-example="${name}" aria-label="${label}" ${press}><img src="${thumb}" alt="" width="56" height="56"></button>`,
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

// A picture from the camera.

const shoot = $(".shoot");
const video = $(".shoot video");
let opening = false; // whether the browser is being asked for the camera

$(".camera").addEventListener("click", async () => {
  if (opening || shoot.open) return;
  opening = true;
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    shoot.showModal();
    video.play().catch(() => {}); // ends with an error where the dialog is closed at once
  } catch {
    complain(words.no_camera);
  }
  opening = false;
});
shoot.addEventListener("close", () => {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
});
$(".leave").addEventListener("click", () => shoot.close());
$(".shot").addEventListener("click", () => {
  if (!video.videoWidth) return; // no picture has come yet
  const canvas = newCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  canvas.toBlob(
    blob => {
      shoot.close();
      if (blob) bring(new File([blob], "camera.jpg", { type: "image/jpeg" }));
    },
    "image/jpeg",
    0.92,
  );
});

// The visitor's last pictures, in this tab's memory alone.

/** @type {{key: string, question: Question, thumb: any}[]} */ const recent = [];
const RECENT = 6;

/** Keep the visitor's own picture among the last ones. */
function keepRecent() {
  const { answer, photo } = state;
  if (!answer.asked.path) return;
  const at = recent.findIndex(each => each.key === answer.picture);
  if (at >= 0) recent.splice(at, 1);
  const thumb = newCanvas(96, 96);
  const edge = Math.min(photo.width, photo.height);
  const [x, y] = [(photo.width - edge) / 2, (photo.height - edge) / 2];
  thumb.getContext("2d")?.drawImage(photo, x, y, edge, edge, 0, 0, 96, 96);
  recent.unshift({ key: answer.picture, question: answer.asked, thumb });
  recent.splice(RECENT);
  $(".recent").replaceChildren(
    ...recent.map(each => {
      const name = each.key.split("/").pop() ?? "";
      const label = say("recent_alt", { name });
      return html`<button type="button" aria-label="${label}" title="${name}" ${() => ask(each.question)}>${each.thumb}</button>`;
    }),
  );
  $(".recent").hidden = !recent.length;
  rove($(".recent"));
}
$(".recent").setAttribute("aria-label", words.recent);
subscribe(["answer"], keepRecent);
