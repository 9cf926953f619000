// @ts-check
// The nine stages in three acts, from pixels to the heads. One tab stop for nine; arrow keys step through them.

HEADS.forEach((/** @type {string} */ head, /** @type {number} */ i) => {
  const act = make("div", { class: "act", role: "group", "aria-label": say("act", { head: words[head] }) });
  for (const name of STAGES.slice(3 * i, 3 * i + 3)) {
    act.append(
      make(
        "button",
        { type: "button", class: "stage", "data-stage": name, tabindex: -1, onclick: () => select(name, true) },
        make("span", { class: "cell" }, make("canvas", { role: "img" })),
        make("span", { class: "name" }, make("b", {}, name), " ", make("span", { class: "soft size" })),
      ),
    );
  }
  $(".strip").append(act);
});
$(".strip").append(make("p", { class: "behind soft small", hidden: "" }));
$(".strip").setAttribute("aria-label", words.strip);
$(".strip").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (step(event.key)) event.preventDefault();
});

/** The stages that the asked head sees. */
function seenStages() {
  return STAGES.filter((/** @type {string} */ name) => answer.grids[name]);
}

/** Go through the stages by a key. @param {string} key @returns {boolean} whether it was one */
function step(key) {
  const seen = seenStages();
  const at = seen.indexOf(stage);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: seen.length - 1 }[key];
  if (to === undefined) return false;
  if (seen[to]) {
    select(seen[to], true);
    $(`.stage[data-stage="${seen[to]}"]`).focus({ preventScroll: true });
  }
  return true;
}

/** Enlarge a stage. @param {string} name @param {boolean} byHand whether a person chose it, which ends the playing */
function select(name, byHand = false) {
  if (byHand) stopPlaying();
  if (name === stage && byHand) return;
  stage = name;
  touched = null;
  enlarge();
  turn(still.matches ? "auto" : "smooth");
  if (byHand) {
    $(".announce").textContent = $(`.stage[data-stage="${name}"] canvas`).getAttribute("aria-label");
    remember();
  }
}

/** On a phone, where acts and cards are rows to swipe: bring the chosen stage's act and its card into view.
 * @param {ScrollBehavior} behavior */
function turn(behavior) {
  const act = Math.floor(STAGES.indexOf(stage) / 3);
  for (const row of [$(".strip"), $(".cards")]) {
    if (row.scrollWidth > row.clientWidth + 4)
      row.scrollTo({ left: row.children[act].offsetLeft - row.children[0].offsetLeft, behavior });
  }
}

/** Draw the strip: every stage's overlay, and one bracket over the stages that the asked head does not see. */
function showStrip() {
  const { head } = answer.result.question;
  const unseen = STAGES.length - seenStages().length;
  $(".behind").hidden = !unseen;
  $(".behind").style.gridColumn = `${4 - unseen / 3} / 4`;
  $(".behind").textContent = unseen ? say("behind", { head: words[head], name: head, stage: LAST[head] }) : "";
  for (const name of STAGES) {
    const node = $(`.stage[data-stage="${name}"]`);
    const canvas = node.querySelector("canvas");
    const grid = answer.grids[name];
    node.disabled = canvas.hidden = !grid;
    node.querySelector(".size").textContent = grid ? `${grid.h}×${grid.w}` : "";
    if (!grid) continue;
    paint(canvas, grid, grid.sum, scaleOf([grid.sum]));
    const { peak } = summary(name);
    const about = { stage: name, head, class: askedName() };
    canvas.setAttribute("aria-label", peak ? say("stage_alt", { ...about, ...place(peak) }) : say("stage_alt_none", about));
  }
}
