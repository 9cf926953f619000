// @ts-check
// What the browser keeps. A browser may refuse all of it and throw at the mere look at it, so it is read in this module alone.

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

/** A random name of this tab, which a reload keeps. @type {string} */
export const tab = stored("sessionStorage", "tab") || crypto.getRandomValues(new Uint32Array(2)).join("-");
stored("sessionStorage", "tab", tab);
navigator.locks?.request(tab, () => new Promise(() => {})).catch(() => {}); // held until the tab is gone

/** Run one request on the store of pictures. @param {(pictures: IDBObjectStore) => IDBRequest} act @returns {Promise<any>} */
export function pictures(act) {
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
/** The names of the tabs that are open, where the browser tells; else null. @returns {Promise<Set<string | undefined> | null>} */
export async function openTabs() {
  const { held } = (await navigator.locks?.query()) ?? {};
  return held ? new Set(held.map(lock => lock.name)) : null;
}
