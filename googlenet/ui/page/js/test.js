// @ts-check
// The tab "Test": whether the answer hangs on the places that the map shows bright.
import { coverFrames, showCover } from "./cover.js";
import { $ } from "./page.js";
import { addTab } from "./tabs.js";
import { showTrust } from "./trust.js";
import { words } from "./words.js";

addTab({
  name: "test",
  title: words.tab_test,
  show(_, stage) {
    showCover($("#tab-cover"));
    showTrust($("#tab-trust"), stage);
  },
  frames: coverFrames,
});
