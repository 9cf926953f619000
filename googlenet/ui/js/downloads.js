// @ts-check
// Taking it along.

let sheetFor = 0; // the number of the question whose contact sheet is awaited, or 0
receivers.sheet = message => {
  if (message.n !== sheetFor) return;
  answer.sheet = bytes(message.sheet);
  sheetFor = 0;
  $(".take-say").textContent = "";
  save(answer.sheet, "image/png", "sheet.png");
};

function save(content, type, name) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: url, download: `${answer.result.image.replace(/\.[^.]*$/, "")}-${name}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
$(".take").addEventListener("click", event => {
  const kind = event.target.dataset.take;
  if (!kind || !answer) return;
  $(".take-say").textContent = "";
  if (kind === "json") save(JSON.stringify({ ...answer.result }, null, 1), "application/json", "explanation.json");
  if (kind === "npz") save(bytes(answer.npz), "application/octet-stream", "maps.npz");
  if (kind === "png" && answer.sheet) save(answer.sheet, "image/png", "sheet.png");
  else if (kind === "png" && !sheetFor) {
    sheetFor = asked;
    trigger("input", { ...answer.asked, n: sheetFor });
    $(".take-say").textContent = words.working;
  }
  if (kind === "link") {
    if (!link()) {
      $(".take-say").textContent = words.own_link;
      return;
    }
    navigator.clipboard.writeText(location.origin + link()).then(
      () => {
        $(".take-say").textContent = words.copied;
      },
      () => {
        $(".take-say").textContent = location.origin + link();
      },
    );
  }
});
