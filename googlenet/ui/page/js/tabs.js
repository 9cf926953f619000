// @ts-check
// The row of tabs under the enlarged stage. A tab is a file of its own, which calls `tabs.add`.

/**
 * @typedef {object} Tab
 * @property {string} name what its panel is called: `#tab-NAME` of page.html where there is one, else made here
 * @property {string} title what its button says
 * @property {(root: any, stage: string) => void} show draw into the panel; called when the tab, the stage or the answer changes
 */

const tabs = {
  /** @type {Tab[]} */ all: [],
  current: "evidence",

  /** @param {Tab} tab */
  add(tab) {
    this.all.push(tab);
    const id = `tab-${tab.name}`;
    const button = make(
      "button",
      {
        type: "button",
        role: "tab",
        id: `${id}-button`,
        "aria-controls": id,
        "data-tab": tab.name,
        onclick: () => this.open(tab.name),
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event),
      },
      tab.title,
    );
    $(".tabs").append(button);
    if (!$(`#${id}`)) $(".panels").append(make("div", { id }));
    const panel = $(`#${id}`);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", button.id);
    this.mark();
  },

  /** @param {string} name */
  open(name) {
    this.current = name;
    this.mark();
    if (answer) enlarge();
    remember();
  },

  mark() {
    for (const { name } of this.all) {
      const chosen = name === this.current;
      const button = $(`#tab-${name}-button`);
      button.setAttribute("aria-selected", chosen);
      button.tabIndex = chosen ? 0 : -1;
      $(`#tab-${name}`).hidden = !chosen;
    }
  },

  /** Arrow keys go through the row, as in any row of tabs. @param {KeyboardEvent} event */
  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = this.all.findIndex(tab => tab.name === this.current);
    const next = this.all[(at + step + this.all.length) % this.all.length];
    this.open(next.name);
    $(`#tab-${next.name}-button`).focus();
  },

  show() {
    const tab = this.all.find(each => each.name === this.current);
    tab?.show($(`#tab-${tab.name}`), stage);
  },
};

/** Send the painted question to Python as an event of layout.py, with more fields.
 * @param {string} event @param {Record<string, any>} fields */
function request(event, fields) {
  post(event, { ...answer.asked, n: asked, ...fields });
}
