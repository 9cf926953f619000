// The state that modules share. One sets it, and all who have subscribed to what was set draw anew.
/**
 * @typedef {object} State
 * @property {Answer} answer what is painted; null before the first answer
 * @property {any} photo its picture, upright
 * @property {Weights} weights the weights that answer
 * @property {Question} wanted what the newest question asks; null before the first
 * @property {boolean} back whether the newest question comes from the browser's Back, or from the page's opening
 * @property {string} stage the stage that is enlarged: the answer's standing one, until the visitor chooses another
 * @property {boolean} chosen whether the visitor chose it
 * @property {number | null} touched the index of the touched cell on the stage's grid
 * @property {string | undefined} truth what the picture shows, by a class's label; "" for none of the classes; undefined where nobody said
 * @property {boolean} guessing whether names and numbers are hidden until they are guessed
 * @property {string} tab the tab that is open
 * @property {boolean} playing
 * @property {{source: string | null, share?: number, place?: number, error?: string} | null} load the weights that are being loaded
 */
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
