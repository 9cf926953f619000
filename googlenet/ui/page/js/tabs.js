// The row of tabs under the enlarged stage: a button and a panel each in index.html, and a module that draws into the panel.
import { $, $$, on, rove } from "./page.js";
import { set, state, subscribe } from "./store.js";

/** `show` draws into the panel when the tab, the stage or the answer changes; `frames` tells what it draws on the enlarged stage
 * @typedef {{show: (stage: string) => void, frames?: () => Cell[]}} Tab */
/** by the name of the panel: `#tab-NAME` @type {Record<string, Tab>} */ const all = {};

/** @param {string} name @param {Tab} tab */
export function addTab(name, tab) {
  all[name] = tab;
}
export function currentTab() {
  return all[state.tab];
}
/** Draw the open tab anew, or only if it is the one that is named. @param {string} [name] */
export function showTab(name = state.tab) {
  if (state.answer && name === state.tab) currentTab().show(state.stage);
}
function mark() {
  for (const button of $$(".tabs button")) {
    const { tab } = button.dataset;
    button.setAttribute("aria-selected", tab === state.tab);
    $(`#tab-${tab}`).hidden = tab !== state.tab;
  }
  rove($(".tabs"), true);
}
on(".tabs", "click", ({ target }) => target.dataset.tab && set({ tab: target.dataset.tab }));
subscribe(["tab"], mark);
mark();
