// @ts-check
// The row of tabs under the enlarged stage. A tab is a module of its own, which calls `addTab`.
import { $, html } from "./page.js";
import { set, state, subscribe } from "./store.js";

/**
 * @typedef {object} Tab
 * @property {string} name what its panel is called: `#tab-NAME` of index.html
 * @property {string} title what its button says
 * @property {(root: any, stage: string) => void} show draw into the panel; called when the tab, the stage or the answer changes
 * @property {() => Cell[]} [frames] what it draws on the enlarged stage
 */
/** @type {Tab[]} */ const all = [];

/** @param {Tab} tab */
export function addTab(tab) {
  all.push(tab);
  const id = `tab-${tab.name}`;
  const button = html`<button type="button" role="tab" id="${id}-button" aria-controls="${id}" data-tab="${tab.name}"
    ${() => set({ tab: tab.name })}>${tab.title}</button>`;
  button.addEventListener("keydown", key);
  $(".tabs").append(button);
  const panel = $(`#${id}`);
  panel.setAttribute("role", "tabpanel");
  panel.setAttribute("aria-labelledby", button.id);
  mark();
}
export function currentTab() {
  return all.find(each => each.name === state.tab);
}
/** Draw the open tab anew, or only if it is the one that is named. @param {string} [name] */
export function showTab(name = state.tab) {
  if (state.answer && name === state.tab) currentTab()?.show($(`#tab-${name}`), state.stage);
}
function mark() {
  for (const { name } of all) {
    const chosen = name === state.tab;
    const button = $(`#tab-${name}-button`);
    button.setAttribute("aria-selected", chosen);
    button.tabIndex = chosen ? 0 : -1;
    $(`#tab-${name}`).hidden = !chosen;
  }
}
/** Arrow keys go through the row, as in any row of tabs. @param {KeyboardEvent} event */
function key(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const at = all.findIndex(tab => tab.name === state.tab);
  const { name } = all[(at + step + all.length) % all.length];
  set({ tab: name });
  $(`#tab-${name}-button`).focus();
}
subscribe(["tab"], mark);
