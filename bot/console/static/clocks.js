// Times: how long somebody has waited, by the server's clock, and moments in the counselor's own zone.
const AMBER_SECONDS = 120;
const RED_SECONDS = 300;
let ahead = Number(document.body.dataset.now || Date.now()) - Date.now();

/** Set the page's clock by the server's. */
export function setClock(now) {
  ahead = now - Date.now();
}

function spoken(seconds) {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (hours) return hours + " h " + minutes + " min";
  return minutes + ":" + String(seconds % 60).padStart(2, "0");
}

/** Bring every waiting clock up to date; urgent ones turn amber, then red. */
export function tick() {
  for (const clock of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.floor((Date.now() + ahead - Number(clock.dataset.since)) / 1000));
    const words = spoken(seconds);
    if (clock.textContent !== words) clock.textContent = words;
    if (!("urgent" in clock.dataset)) continue;
    clock.classList.toggle("red", seconds >= RED_SECONDS);
    clock.classList.toggle("amber", seconds >= AMBER_SECONDS && seconds < RED_SECONDS);
  }
}

/** Show moments in the counselor's own time zone. */
export function showTimes(root) {
  for (const time of root.querySelectorAll("time[data-at]")) {
    const at = new Date(Number(time.dataset.at));
    const today = at.toDateString() === new Date().toDateString();
    const day = today ? {} : { day: "numeric", month: "short" };
    time.textContent = at.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
    time.dateTime = at.toISOString();
  }
}
