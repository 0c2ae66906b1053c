// The console's one entry: clocks and local times on every page, the live parts where there are any.
import { tick, showTimes } from "./clocks.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startSound } from "./sound.js";
import { startTalk } from "./talk.js";
import { startQueue } from "./queue.js";

showTimes(document);
if (document.body.dataset.live) {
  const sound = startSound();
  const page = document.getElementById("talk") ? startTalk() : startQueue();
  startLive({ ...page, alerts: sound.hear });
  startKeys(page);
  tick();
  setInterval(tick, 1000);
}
