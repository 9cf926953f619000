// @ts-check
// The class search: a combobox with a list box, after the ARIA pattern.

function combobox(root, none, choose) {
  const input = root.querySelector("input"),
    list = root.querySelector("ul");
  /** @type {any} */ let current = null;
  let at = -1,
    choices = [];
  function options(text) {
    const found = text.trim().toLowerCase(),
      rank = answer.result.heads[answer.result.question.head] || answer.result.heads.main;
    const top = rank.map(p => ({ index: p.index, label: p.label, note: percent(p.probability) }));
    const rest = weights.labels
      .map((label, index) => ({ index, label }))
      .filter(c => !top.some(t => t.index === c.index))
      .sort((a, b) => a.label.localeCompare(b.label));
    const all = [...top, ...rest].filter(c => c.label.toLowerCase().includes(found));
    if (found) all.sort((a, b) => b.label.toLowerCase().startsWith(found) - a.label.toLowerCase().startsWith(found));
    return none && !found ? [{ index: null, label: none }, ...all] : all;
  }
  function open(text) {
    choices = options(text);
    list.replaceChildren(
      ...(choices.length
        ? choices.map((c, i) =>
            make(
              "li",
              {
                role: "option",
                id: `${list.id}-${i}`,
                "aria-selected": c.index === (current ? current.index : null),
                onmousedown: event => {
                  event.preventDefault();
                  pick(i);
                },
              },
              make("span", {}, c.label),
              make("span", { class: "soft" }, c.note || ""),
            ),
          )
        : [make("li", { class: "soft", role: "option", "aria-disabled": true }, words.no_match)]),
    );
    list.classList.toggle("up", innerHeight - input.getBoundingClientRect().bottom < 280);
    list.hidden = false;
    input.setAttribute("aria-expanded", true);
    move(text.trim() && choices.length ? 0 : -1);
  }
  function shut() {
    list.hidden = true;
    input.setAttribute("aria-expanded", false);
    input.removeAttribute("aria-activedescendant");
  }
  function move(to) {
    at = to;
    [...list.children].forEach((node, i) => node.classList.toggle("at", i === at));
    if (at >= 0) {
      input.setAttribute("aria-activedescendant", `${list.id}-${at}`);
      list.children[at].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }
  function pick(i) {
    const chosen = choices[i];
    shut();
    set(chosen.index === null ? null : chosen);
    choose(chosen.index);
  }
  function set(value) {
    current = value;
    input.value = value ? value.label : "";
    input.placeholder = none || "";
  }
  input.addEventListener("focus", () => {
    if (answer) {
      input.select();
    }
  });
  input.addEventListener("click", () => {
    if (answer && list.hidden) open("");
  });
  input.addEventListener("input", () => {
    if (answer) open(input.value);
  });
  input.addEventListener("blur", () => {
    shut();
    set(current);
  });
  input.addEventListener("keydown", event => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) open("");
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (choices.length) move((at + step + choices.length) % choices.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!list.hidden && at >= 0) pick(at);
      else if (none && !input.value.trim() && current) {
        choices = [{ index: null }];
        pick(0);
      }
    } else if (event.key === "Escape") {
      shut();
      set(current);
    }
  });
  return { set };
}
const target = combobox($(".combo.target"), null, index => ask({ ...wanted, target: index }));
const contrast = combobox($(".combo.contrast"), words.contrast_none, index => ask({ ...wanted, contrast: index }));
$(".question").addEventListener("submit", event => event.preventDefault());
