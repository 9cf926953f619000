// @ts-check
// Sending a picture to the server's folder of uploads.
import { SLOW } from "./call.js";
import { keep } from "./memory.js";
import { notice } from "./notices.js";
import { $ } from "./page.js";
import { stored } from "./storage.js";
import { say } from "./words.js";

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
