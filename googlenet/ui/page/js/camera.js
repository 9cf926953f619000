// @ts-check
// A picture from the camera.
import { complain } from "./notices.js";
import { $, make } from "./page.js";
import { bring } from "./pictures.js";
import { words } from "./words.js";

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
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob(
    (/** @type {Blob} */ blob) => {
      shoot.close();
      bring(new File([blob], "camera.jpg", { type: "image/jpeg" }));
    },
    "image/jpeg",
    0.92,
  );
});
