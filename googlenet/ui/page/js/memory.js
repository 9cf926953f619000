// What the browser keeps. A browser may refuse all of it and throw at the mere look at it, so it is read in this module alone.
import { $$ } from "./page.js";
import { set, state, subscribe } from "./store.js";

/** Read or, with a value, write; undefined where nothing is kept or the browser refuses.
 * @param {"localStorage" | "sessionStorage"} area @param {string} key @param {any} [value] @returns {any} */
export function stored(area, key, value) {
  try {
    if (value === undefined) return JSON.parse(window[area].getItem(`googlenet.${key}`) ?? "null") ?? undefined;
    window[area].setItem(`googlenet.${key}`, JSON.stringify(value));
    return value;
  } catch {
    return undefined;
  }
}

const random = crypto.getRandomValues(new Uint32Array(2)).join("-");
/** A random name of this tab, which a reload keeps. @type {string} */
export const tab = stored("sessionStorage", "tab") ?? stored("sessionStorage", "tab", random) ?? random;
navigator.locks?.request(tab, () => new Promise(() => {})).catch(() => {}); // held until the tab is gone

/** Run one request on the store of pictures. @param {(pictures: IDBObjectStore) => IDBRequest} act @returns {Promise<any>} */
function pictures(act) {
  return new Promise((done, failed) => {
    const opening = indexedDB.open("googlenet", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("pictures");
    opening.onerror = () => failed(opening.error);
    opening.onsuccess = () => {
      const doing = act(opening.result.transaction("pictures", "readwrite").objectStore("pictures"));
      doing.onsuccess = () => done(doing.result);
      doing.onerror = () => failed(doing.error);
    };
  });
}

// What survives a reload of the tab: the question, the stage and the controls in its session, the own picture in IndexedDB.

const HOUR = 3600e3; // after which a picture is removed, as are those of tabs that are gone
/** what this tab sent, by its path @type {Map<string, Sent>} */ const sent = new Map();

export function remember() {
  if (!state.wanted) return;
  const { wanted: question, stage, chosen, tab } = state;
  const controls = $$(".looks input").map(({ value, checked }) => ({ value, checked }));
  stored("sessionStorage", "walk", { question, stage, chosen, tab, controls, search: location.search });
}

/** @returns {Question | null} the question of the tab before it was loaded again; its stage, tab and controls are there, too */
export function remembered() {
  const kept = stored("sessionStorage", "walk");
  if (!kept || kept.search !== location.search) return null;
  set({ stage: kept.stage, chosen: kept.chosen, tab: kept.tab });
  $$(".looks input").forEach((input, i) => {
    Object.assign(input, kept.controls[i]);
  });
  return kept.question;
}

/** Keep the tab's picture. @param {Sent} picture */
export async function keep(picture) {
  sent.set(picture.path, picture);
  await pictures(all => all.put({ ...picture, at: Date.now() }, tab)).catch(() => {});
}
/** The picture behind a path, if this tab sent it. @param {string} path @returns {Promise<Sent | undefined>} */
export async function kept(path) {
  if (sent.has(path)) return sent.get(path);
  const found = await pictures(all => all.get(tab)).catch(() => null);
  return found?.path === path ? found : undefined;
}
/** Where the server has a picture now. @param {string | null} path */
export function whereabouts(path) {
  return sent.get(path ?? "")?.now ?? path;
}

async function sweep() {
  const { held } = (await navigator.locks?.query()) ?? {}; // plain http at an address has no locks
  for (const key of await pictures(all => all.getAllKeys())) {
    const { at } = (await pictures(all => all.get(key))) ?? {};
    const gone = held && key !== tab && held.every(lock => lock.name !== key); // its tab
    if (gone || Date.now() - at > HOUR) await pictures(all => all.delete(key));
  }
}
sweep().catch(() => {});
subscribe(["wanted", "stage", "tab", "playing"], remember);
