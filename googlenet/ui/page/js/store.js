// The state that modules share. One sets it, and all who have subscribed to what was set draw anew.
const opening = { answer: null, photo: null, weights: null, wanted: null, back: true, stage: "", chosen: false, touched: null };
/** @type {State} */
export const state = /** @type {any} */ ({ ...opening, guessing: false, tab: "evidence", playing: false, load: null });
/** @type {{keys: string[], act: () => void}[]} */ const subscribers = [];

/** @param {Partial<State>} change */
export function set(change) {
  Object.assign(state, change);
  for (const { keys, act } of subscribers) if (keys.some(key => key in change)) act();
}
/** Do something whenever one of the state's keys is set. @param {(keyof State)[]} keys @param {() => void} act */
export function subscribe(keys, act) {
  subscribers.push({ keys, act });
}
