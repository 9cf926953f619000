// @ts-check
// What survives a reload of the tab: the question, the stage and the controls in its session, the visitor's own picture in
// IndexedDB under the tab's name. Pictures of tabs that are gone, or older than an hour, are removed at the next opening.

const HOUR = 3600e3;
/** path on the server → the file that was sent, so that it can be sent again @type {Map<string, {file: File, original: number[] | null}>} */
const sent = new Map();
const tab = store(sessionStorage, "tab") || crypto.getRandomValues(new Uint32Array(2)).join("-");
store(sessionStorage, "tab", tab);
navigator.locks?.request(tab, () => new Promise(() => {})); // held until the tab is gone

function remember() {
  if (!wanted) return;
  const controls = Object.fromEntries(
    $$(".looks input").map(input => [input.className, input.type === "checkbox" ? input.checked : input.value]),
  );
  store(sessionStorage, "walk", { question: wanted, stage, controls, tab: tabs.current, search: location.search });
}

/** @returns {any} what the tab showed before it was loaded again, or null */
function remembered() {
  const kept = store(sessionStorage, "walk");
  if (!kept || kept.search !== location.search) return null;
  stage = kept.stage;
  tabs.current = kept.tab;
  tabs.mark();
  for (const [name, value] of Object.entries(kept.controls)) {
    const input = $(`.looks .${name}`);
    if (typeof value === "boolean") input.checked = value;
    else input.value = value;
  }
  return kept.question;
}

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

/** Keep the tab's picture. @param {{path: string, file: File, original: number[] | null}} picture */
async function keep(picture) {
  sent.set(picture.path, picture);
  await pictures(all => all.put({ ...picture, at: Date.now() }, tab)).catch(() => {});
}

/** The file behind a path of the server, if this tab sent it. @param {string} path */
async function kept(path) {
  if (sent.has(path)) return sent.get(path);
  const found = await pictures(all => all.get(tab)).catch(() => null);
  return found?.path === path ? found : undefined;
}

async function sweep() {
  const alive = new Set((await navigator.locks?.query())?.held?.map(lock => lock.name) ?? [tab]);
  for (const key of await pictures(all => all.getAllKeys())) {
    const { at } = (await pictures(all => all.get(key))) ?? {};
    const open = navigator.locks ? alive.has(key) : true;
    if ((key !== tab && !open) || Date.now() - at > HOUR) await pictures(all => all.delete(key));
  }
}
sweep().catch(() => {});
