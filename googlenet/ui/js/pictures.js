// @ts-check
// Bringing a picture: from disk, clipboard, drop or camera.

$(".choose").addEventListener("click", () => $(".file").click());
$(".photo").addEventListener("click", () => $(".file").click());
$(".file").addEventListener("change", event => {
  bring(event.target.files[0]);
  event.target.value = "";
});
window.addEventListener("paste", event => {
  const file = event.clipboardData?.files[0];
  if (file) {
    event.preventDefault();
    bring(file);
  }
});
const overPage = event => [...(event.dataTransfer?.types || [])].includes("Files");
window.addEventListener("dragover", event => {
  if (overPage(event)) {
    event.preventDefault();
    $(".drop").hidden = false;
  }
});
window.addEventListener("dragleave", event => {
  if (!event.relatedTarget) $(".drop").hidden = true;
});
window.addEventListener("drop", event => {
  $(".drop").hidden = true;
  if (overPage(event)) {
    event.preventDefault();
    bring(event.dataTransfer?.files[0]);
  }
});
const shoot = $(".shoot"),
  video = $(".shoot video");
$(".camera").addEventListener("click", async () => {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    shoot.showModal();
    await video.play();
  } catch {
    notice(words.no_camera);
  }
});
shoot.addEventListener("close", () => {
  video.srcObject?.getTracks().forEach(track => track.stop());
  video.srcObject = null;
});
$(".leave").addEventListener("click", () => shoot.close());
$(".shot").addEventListener("click", () => {
  const still = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  still.getContext("2d").drawImage(video, 0, 0);
  still.toBlob(
    blob => {
      shoot.close();
      bring(new File([blob], "camera.jpg", { type: "image/jpeg" }));
    },
    "image/jpeg",
    0.92,
  );
});
