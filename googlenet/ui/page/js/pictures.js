// Bringing a picture: from the examples, disk, clipboard, drop or camera. A large photograph goes smaller, HEIC (Safari) as a JPEG.
import { lastPictures } from "./answer.js";
import { ask, begin, fail } from "./asking.js";
import { SLOW } from "./call.js";
import { paintPhoto } from "./drawing.js";
import { keep } from "./memory.js";
import { complain, notice } from "./notices.js";
import { $, $$, html, on, props, rove } from "./page.js";
import { state, subscribe } from "./store.js";
import { carried } from "./weights.js";
import { say, words } from "./words.js";

/** Send a picture, for the first time or again. @param {{file: File, original: number[] | null, path?: string}} picture
 * @param {AbortSignal} signal @returns {Promise<string>} its path: the name that it has in this tab from now on */
export async function deliver(picture, signal) {
  const now = await post(picture.file, signal).catch(({ message }) => {
    throw new Error(say(message === "507" ? "disk_full" : "upload_failed", { name: picture.file.name }));
  });
  const path = picture.path ?? now;
  keep({ ...picture, path, now });
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

const SENT_WHOLE = 2 * 2 ** 20; // bytes
const LARGEST = 20 * 2 ** 20; // what the server takes
const SIDE = 1600; // longer side in pixels of a reduced copy
const TYPES = ["jpeg", "png", "webp", "gif", "bmp", "tiff"].map(type => `image/${type}`);

/** Draw a picture upright, as a JPEG of bounded side on white. @param {ImageBitmap} bitmap @param {string} name */
async function reduced(bitmap, name) {
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map(side => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const pen = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = "white";
  pen.fillRect(0, 0, width, height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, width, height);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  return new File([blob], name.replace(/\.[^.]*$/, ".jpg"), { type: "image/jpeg" });
}

/** A picture from disk, clipboard, drop or camera. @param {File | null | undefined} given */
async function bring(given) {
  if (!given) return;
  const name = given.name || "picture.png";
  if (given.type === "image/svg+xml" || /\.svgz?$/i.test(name)) return complain(say("no_svg", { name }));
  const signal = begin(words.uploading);
  const bitmap = await createImageBitmap(given, { imageOrientation: "from-image" }).catch(() => null);
  if (signal.aborted) return;
  let file = given.name ? given : new File([given], name, { type: given.type });
  /** @type {number[] | null} */ let original = null;
  if (bitmap) {
    paintPhoto($(".picture"), bitmap); // a look at it while it travels
    $(".photo .marks").replaceChildren();
    if (given.size > SENT_WHOLE || !TYPES.includes(given.type)) {
      file = await reduced(bitmap, name);
      if (Math.max(bitmap.width, bitmap.height) > SIDE) original = [bitmap.width, bitmap.height];
    }
  }
  if (signal.aborted) return;
  if (file.size > LARGEST) return fail(say("too_large", { name }));
  try {
    const path = await deliver({ file, original }, signal);
    if (!signal.aborted) ask({ head: state.wanted?.head ?? "main", path, original });
  } catch (error) {
    if (!signal.aborted) fail(/** @type {Error} */ (error).message);
  }
}

on(".choose", "click", () => $(".file").click());
on(".photo", "click", () => $(".file").click());
$(".file").accept = "image/*,.tif,.tiff,.heic,.heif";
on(".file", "change", ({ target }) => {
  bring(target.files[0]);
  target.value = "";
});
window.addEventListener("paste", event => {
  const data = event.clipboardData;
  const field = /** @type {any} */ (event.target)?.closest?.("input, textarea");
  if (field && data?.types.includes("text/plain")) return; // in a field, text wins over a bitmap of it
  if (data?.files.length) event.preventDefault();
  take(data);
});
/** Take the picture of a paste or a drop. @param {DataTransfer | null} data */
function take(data) {
  if (data?.files.length) return bring(data.files[0]);
  const text = data?.getData("text/uri-list") || data?.getData("text/plain") || "";
  if (/^(https?|data|blob|file):/i.test(text)) complain(words.no_link);
}
for (const type of /** @type {const} */ (["dragover", "dragleave", "drop"]))
  window.addEventListener(type, event => {
    const types = event.dataTransfer?.types ?? [];
    const taken = type !== "dragleave" && (types.includes("Files") || types.includes("text/uri-list"));
    if (taken) event.preventDefault();
    if (type !== "dragleave" || !event.relatedTarget) $(".drop").hidden = type !== "dragover" || !types.includes("Files");
    if (taken && type === "drop" && Number(event.dataTransfer?.files.length) > 1) complain(words.one_picture);
    else if (taken && type === "drop") take(event.dataTransfer);
  });

// The examples, and what the one shows that is under the pointer, or else is explained.

for (const { name, thumb } of props.examples) {
  $(".examples").append(
    html`<button type="button" data-example="${name}"><img src="${thumb}" alt="" width="56" height="56"></button>`,
  );
}
const built = props.examples.filter((/** @type {any} */ each) => each.own).map((/** @type {any} */ each) => each.name);
/** What the page's own weights make of a built-in example, where they answer. @param {string} name */
const role = name => (built.includes(name) && !state.weights.chosen ? words[`example_${name}`] : "");
/** @param {string} [name] of an example */
function caption(name = state.answer?.asked.example ?? undefined) {
  $(".role").textContent = name ? role(name) || name : (state.answer?.result.image ?? "");
}
subscribe(["weights"], () => {
  const label = (/** @type {string} */ name) => [name, role(name)].filter(Boolean).join(": ");
  for (const each of $$("[data-example]")) each.ariaLabel = label(each.dataset.example);
});
const exampleOf = (/** @type {Event} */ { target }) => /** @type {any} */ (target).closest("[data-example]")?.dataset.example;
on(".examples", "click", event => exampleOf(event) && ask({ example: exampleOf(event), head: state.wanted?.head }));
on(".examples", "mouseover focusin", event => caption(exampleOf(event)));
on(".examples", "mouseleave focusout", () => caption());

// A picture from the camera.

const [shoot, video] = [$(".shoot"), $(".shoot video")];
let opening = false; // whether the browser is being asked for the camera

on(".camera", "click", async () => {
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
on(".shoot", "close", () => {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
});
on(".leave", "click", () => shoot.close());
on(".shot", "click", async () => {
  if (!video.videoWidth) return; // no picture has come yet
  const file = await reduced(await createImageBitmap(video), "camera.jpg");
  shoot.close();
  bring(file);
});

// The visitor's last six pictures, in this tab's memory alone.

subscribe(["answer"], () => {
  for (const each of $$("[data-example]")) each.setAttribute("aria-pressed", each.dataset.example === state.wanted.example);
  caption();
  rove($(".examples"));
  const recent = lastPictures.filter(each => each.answer.asked.path).slice(0, 6);
  $(".recent").hidden = !recent.length;
  $(".recent").replaceChildren(
    ...recent.map(({ answer: { result, asked }, photo, weights }) => {
      const label = say("recent_alt", { name: result.image });
      return html`<button type="button" aria-label="${label}" title="${result.image}" ${() => ask(carried(asked, weights))}><img src="${photo.src}" alt=""></button>`;
    }),
  );
  rove($(".recent"));
});
