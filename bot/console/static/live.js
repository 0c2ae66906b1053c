// The live connection: a snapshot each time it opens, and plain words when it is lost.
import { setClock } from "./clocks.js";

const LOST_AFTER_MS = 5000; // the server says something every second or so
const ALIVE_EVERY_MS = 60000;
const QUIET_MS = 25 * 60000; // five minutes before the session goes idle

const line = document.getElementById("line");
const offline = document.getElementById("offline");
const title = document.title;

function say(state, words) {
  line.className = "line " + state;
  line.textContent = state === "live" ? "Live" : "Not connected";
  document.body.classList.toggle("stale", state !== "live");
  if (offline.textContent !== words) offline.textContent = words;
  offline.hidden = !words;
}

function count(waiting) {
  const shown = document.getElementById("waiting");
  shown.textContent = waiting + " waiting";
  shown.hidden = waiting === 0;
  document.title = (waiting ? "(" + waiting + ") " : "") + title;
}

/** `on` has handlers by event name; `alerts` gets what calls for this counselor. */
export function startLive(on) {
  let heard = Date.now();
  let source = null;
  let over = false;
  let url = document.body.dataset.live;

  function open() {
    if (source) source.close();
    source = new EventSource(on.where ? on.where(url) : url);
    for (const name of ["queue", "message", "part", "status", "delivery", "typing", "beat"]) {
      source.addEventListener(name, (event) => {
        heard = Date.now();
        const data = JSON.parse(event.data);
        if (name === "queue") {
          setClock(data.now);
          say("live", "");
          count(data.waiting);
          on.alerts(data.alerts);
        }
        if (on[name]) on[name](data, event.lastEventId);
      });
    }
    source.addEventListener("away", () => {
      heard = Date.now();
      say("lost", "The record does not answer. What you see may be old. Trying again.");
    });
    source.addEventListener("signed_out", end);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) check();
    };
  }

  function end() {
    over = true;
    source.close();
    say("lost", "You are signed out. You do not see who is waiting. ");
    const link = document.createElement("a");
    link.href = "/console/sign-in";
    link.textContent = "Sign in again";
    offline.append(link);
    on.alerts([["signed-out", "danger"]]);
  }

  /** The stream was refused: signed out, or only a desk that starts again. */
  async function check() {
    try {
      const answer = await alive();
      if (answer.status === 401) return end();
    } catch (error) {
      // not reachable: the watch below says so
    }
    if (!over) setTimeout(open, 1000);
  }

  function alive() {
    const body = new URLSearchParams({ csrf: document.body.dataset.csrf });
    return fetch("/console/alive", { method: "POST", body, headers: { "x-handrail": "console" } });
  }

  setInterval(() => {
    if (over || Date.now() - heard < LOST_AFTER_MS) return;
    say("lost", "Not connected. What you see may be old. Trying again.");
    on.alerts([["lost:" + heard, "danger"]]);
    if (source.readyState === EventSource.CLOSED) open();
  }, 1000);

  let active = Date.now();
  let told = Date.now();
  for (const name of ["pointerdown", "keydown", "pointermove"]) addEventListener(name, () => (active = Date.now()), { passive: true });
  setInterval(() => {
    if (over) return;
    if (active > told && Date.now() - told > ALIVE_EVERY_MS) {
      told = Date.now();
      alive().catch(() => {});
    }
    if (Date.now() - active > QUIET_MS) {
      say("live", "Are you still there? Without a key or a click you are signed out within five minutes.");
      on.alerts([["idle:" + active, "danger"]]);
    }
  }, 5000);
  open();
}
