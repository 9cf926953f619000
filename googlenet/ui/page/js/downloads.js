// @ts-check
// Taking it along.
import { link } from "./address.js";
import { askedName } from "./answer.js";
import { request } from "./asking.js";
import { overlay } from "./drawing.js";
import { $, bytes, make } from "./page.js";
import { shareCard, sheet } from "./sheet.js";
import { state } from "./store.js";
import { say, words } from "./words.js";

/** @param {BlobPart} content @param {string} type @param {string} name of the file */
export function download(content, type, name) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: url, download: name }).click();
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
