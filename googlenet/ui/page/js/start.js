// @ts-check
// The way in: Gradio's script of the component imports this module and calls `start`.
import { give } from "./gradio.js";

const page = import("./main.js");

/** @param {Given} gradio what Gradio has in scope there */
export function start(gradio) {
  give(gradio);
  return page;
}
