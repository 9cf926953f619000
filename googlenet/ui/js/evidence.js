// @ts-check
// The tab "Evidence": what the enlarged stage's map says, and how its four filter sizes share in it.

for (const branch of BRANCHES) {
  $(".four").append(
    make(
      "div",
      { "data-branch": branch },
      make("span", { class: "cell" }, make("canvas", { role: "img" })),
      make("div", {}, make("b", {}, branchName(branch)), " ", make("span", { class: "soft share" })),
      make("div", { class: "bar" }, make("i")),
    ),
  );
}

function showEvidence() {
  const grid = answer.grids[stage],
    info = summary(stage);
  $(".stage-text").textContent = info.peak
    ? say("stage_text", {
        h: grid.h,
        w: grid.w,
        class: askedName(),
        ...place(info.peak),
        share: percent(info.share_of_evidence, true),
      })
    : say("stage_text_none", { h: grid.h, w: grid.w, class: askedName() });
  const loudest = Math.max(1e-12, ...grid.branches.map(values => Math.max(...values))); // one scale for the four
  BRANCHES.forEach((branch, b) => {
    const node = $(`.four [data-branch="${branch}"]`),
      share = info.branches[branch];
    paint(node.querySelector("canvas"), grid, grid.branches[b], loudest);
    node
      .querySelector("canvas")
      .setAttribute(
        "aria-label",
        say("branch_alt", { stage, branch: branchName(branch), class: askedName(), share: percent(share, true) }),
      );
    node.querySelector(".share").textContent = percent(share);
    node.querySelector(".bar i").style.width = share * 100 + "%";
  });
  const at = grid.branches.map(values => values[grid.top]),
    digits = 2 - Math.floor(Math.log10(grid.peak));
  const figure = v => (v < 0 ? "−" : "") + Math.abs(v).toFixed(Math.min(8, Math.max(0, digits)));
  $(".numbers").replaceChildren(
    say("teach_formula", { stage }),
    make("br"),
    make(
      "span",
      { class: "sum" },
      at.map((v, b) => `${figure(v)} (${branchName(BRANCHES[b])})`).join(" + ") + ` = ${figure(grid.sum[grid.top])}`,
    ),
  );
}

tabs.add({ name: "evidence", title: words.tab_evidence, show: showEvidence });
