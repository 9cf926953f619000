// The way in: Gradio's script of the component imports this module and calls `start`. Whoever imports `given` waits for that.

/** @type {(gradio: Given) => void} */ let give = () => {};
/** @type {Promise<Given>} */ export const given = new Promise(done => {
  give = done;
});
const page = import("./main.js");

/** @param {Given} gradio what Gradio has in scope there */
export function start(gradio) {
  give(gradio);
  return page;
}
