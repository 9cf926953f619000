// @ts-check
// What Gradio gives to the page's script. Whoever imports `given` waits for it.

/** @type {(gradio: Given) => void} */ export let give = () => {};
/** @type {Promise<Given>} */ export const given = new Promise(done => {
  give = done;
});
