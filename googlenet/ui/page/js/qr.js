// @ts-check
// The link as a QR code: for the paper, and for the room where the page is presented.
import { link } from "./address.js";
import { call } from "./call.js";
import { $, pause } from "./page.js";
import { state, subscribe } from "./store.js";
import { words } from "./words.js";

const IDLE = 1500; // milliseconds: a visitor's next question goes first

subscribe(["answer"], async () => {
  const { answer } = state;
  const url = link();
  $(".qr").hidden = true;
  await pause(IDLE);
  if (!url || state.answer !== answer) return;
  const reply = await call("qr", { link: url }).catch(() => null); // the page goes on without it
  if (!reply || state.answer !== answer) return;
  $(".qr img").src = reply.qr;
  $(".qr img").alt = words.qr_alt;
  $(".qr figcaption").textContent = url.replace(/^\w+:\/\/|\?.*$/g, "");
  $(".qr").hidden = false;
});
