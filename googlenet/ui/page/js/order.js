// The order of reading. It differs between wide screens, narrow ones and phones, and the Tab key goes through the document's order.
import { $ } from "./page.js";

/** what a narrow screen shows, from the top: on a tablet, and on a phone */
const TABLET = ["bring", "question", "strip", "hero", "cards", "guess", "say", "verdict", "slope", "about", "take", "teach"];
const PHONE = ["bring", "strip", "hero", "guess", "say", "verdict", "question", "cards", "slope", "about", "take", "teach"];
/** on a wide one: what stands in which part */
const WIDE = {
  stay: ["bring", "question", "take"],
  side: ["guess", "say", "verdict", "slope"],
  close: ["hero", "side"],
  right: ["strip", "cards", "close", "about"],
  page: ["left", "right", "teach"],
};
const [narrow, phone] = ["(max-width: 1000px)", "(max-width: 600px)"].map(width => matchMedia(width));

function arrange() {
  const focused = /** @type {any} */ (document.activeElement);
  const parts = narrow.matches ? { page: phone.matches ? PHONE : TABLET } : WIDE;
  for (const [part, names] of Object.entries(parts)) $(`.${part}`).append(...names.map(name => $(`.${name}`)));
  if (focused !== document.activeElement) focused.focus({ preventScroll: true });
}
for (const width of [narrow, phone]) width.addEventListener("change", arrange);
arrange();
