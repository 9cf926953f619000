// One question to Python: a request that stays open until its reply, and a look at its progress each second meanwhile.
import { tab } from "./memory.js";
import { pause, server } from "./page.js";
import { language, words } from "./words.js";

export const SLOW = 8000; // milliseconds without word after which the page says that it still waits
const LOST = 60000; // and after which it gives up
const RETRY = 1000; // milliseconds between two looks, and between two tries where no answer comes through
let count = Date.now(); // a reload of the tab goes on counting

/** @param {{en: string, ko: string, kind?: string, source?: string}} refusal @returns {Refusal} */
function refused({ kind = "", source = "", ...texts }) {
  return Object.assign(new Error(texts[language]), { kind, source });
}

/** Ask until Python answers: a connection that breaks and a program that restarts are waited for.
 * @param {string} name of the server's function @param {any} question @param {(progress: Progress) => void} [told]
 * @param {AbortSignal} [signal] gives the question up @returns {Promise<any>} rejects with a Refusal */
export async function call(name, question, told = () => {}, signal) {
  let [n, heard, patience, looking, timer] = [0, Date.now(), LOST, false, 0];
  const look = async () => {
    const silence = Date.now() - heard;
    if (silence > SLOW) told({ slow: true });
    if (looking || silence > patience) return;
    looking = true;
    const progress = await server.progress({ n, session: tab }).catch(() => undefined);
    looking = false;
    if (!timer || progress?.n !== n || !("place" in progress || "share" in progress)) return;
    heard = Date.now();
    told(progress);
  };
  let stop = () => {};
  /** @type {Promise<never>} */ const givenUp = new Promise((_, failed) => {
    stop = () => {
      server.leave({ n, session: tab }).catch(() => {});
      failed(signal?.reason);
    };
    if (signal?.aborted) stop();
    timer = setInterval(() => {
      if (Date.now() - heard > patience) failed(refused({ en: words.lost, ko: words.lost }));
      else look();
    }, RETRY);
  });
  signal?.addEventListener("abort", stop);
  const first = setTimeout(look, RETRY / 2);
  try {
    while (true) {
      n = ++count;
      const asked = server[name]({ ...question, n, session: tab }).catch(() => undefined);
      // what was asked before the browser is connected again may never be answered
      const online = new Promise(done => window.addEventListener("online", () => done(undefined), { once: true }));
      const reply = /** @type {any} */ (await Promise.race([asked, givenUp, online]));
      if (reply?.refusal && reply.refusal.kind !== "restarting") throw refused(reply.refusal);
      if (reply && !reply.refusal) return reply;
      if (reply) patience = Number.POSITIVE_INFINITY; // it has said that it comes back
      told(reply ? { restarting: true } : { lost: true });
      await Promise.race([pause(RETRY), givenUp]);
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    clearInterval(timer);
    clearTimeout(first);
    timer = 0;
  }
}
