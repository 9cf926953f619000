// @ts-check
// Taking it along.

let taking = ""; // what Python is asked to make: "npz", or nothing

/** @param {BlobPart} content @param {string} type @param {string} name */
function save(content, type, name) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: url, download: `${answer.result.image.replace(/\.[^.]*$/, "")}-${name}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
receivers.npz = message => {
  taking = "";
  $(".take-say").textContent = "";
  save(bytes(message.npz), "application/octet-stream", "maps.npz");
};
/** Whether an error belongs to a download; then it is said beside it. @param {any} message */
function took(message) {
  if (!taking || running) return false;
  taking = "";
  $(".take-say").textContent = message.error[language];
  return true;
}

const STAGE_SIDE = 1080; // pixels of the enlarged stage as a picture

/** The enlarged stage alone, as PNG. @returns {Promise<Blob>} */
function stagePicture() {
  return new Promise((done, failed) =>
    overlay(stage, STAGE_SIDE).toBlob(
      (/** @type {Blob | null} */ blob) => (blob ? done(blob) : failed(new Error("no PNG"))),
      "image/png",
    ),
  );
}

/** what a button of the row does @type {Record<string, () => void>} */
const takes = {
  png: () => sheet().then(canvas => canvas.toBlob(blob => blob && save(blob, "image/png", "sheet.png"))),
  card: () => shareCard().then(canvas => canvas.toBlob(blob => blob && save(blob, "image/png", "card.png"))),
  stage: () => stagePicture().then(blob => save(blob, "image/png", `${stage}.png`)),
  copy: () => {
    const tell = (/** @type {string} */ text) => ($(".take-say").textContent = text);
    const item = () => new ClipboardItem({ "image/png": stagePicture() }); // Safari wants the promise, within the click
    Promise.resolve()
      .then(() => navigator.clipboard.write([item()]))
      .then(
        () => tell(say("copied_stage", { stage })),
        () => tell(words.no_copy),
      );
  },
  json: () => save(JSON.stringify(answer.result, null, 1), "application/json", "explanation.json"),
  npz: () => {
    taking = "npz";
    $(".take-say").textContent = words.working;
    request("input", {});
  },
  link: () => {
    const url = link();
    const tell = (/** @type {string} */ text) => ($(".take-say").textContent = text);
    if (!url) tell(words.own_link);
    else
      navigator.clipboard.writeText(url).then(
        () => tell(words.copied),
        () => tell(url),
      );
  },
};
$(".take").addEventListener("click", (/** @type {any} */ event) => {
  const kind = event.target.dataset.take;
  if (!kind || !answer) return;
  $(".take-say").textContent = "";
  takes[kind]();
});
