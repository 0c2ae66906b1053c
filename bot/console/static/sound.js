// What a counselor hears and is told on the desktop. No words of a person, ever: only that somebody waits.
const KEY = "handrail-console-sound";
const REMIND_MS = 60000;
const NOTES = { crisis: [660, 880], danger: [880, 660, 880], request: [520], wrote: [440] };
const SAID = { crisis: "Somebody in crisis is waiting", danger: "Look at the console now", request: "Somebody asks for a counselor", wrote: "Somebody wrote to you" };

function wanted() {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch (error) {
    return true;
  }
}

function keep(value) {
  try {
    localStorage.setItem(KEY, value ? "on" : "off");
  } catch (error) {
    // only the memory of it is lost
  }
}

/**
 * Returns `hear(alerts)`: alerts are [key, kind], all there are now; each key sounds once, waiting crises again every
 * minute. A browser allows sound after the first click: what comes before sounds then, if it still waits.
 */
export function startSound() {
  const button = document.getElementById("sound");
  const notify = document.getElementById("notify");
  const announce = document.getElementById("announce");
  const heard = new Set();
  const told = new Set();
  let latest = [];
  let on = wanted();
  let context = null;
  let remindAt = 0;

  function show() {
    button.setAttribute("aria-pressed", String(on));
    button.classList.toggle("asks", on && !(context && context.state === "running"));
    button.textContent = !on ? "Sound off" : context && context.state === "running" ? "Sound on" : "Click for sound";
  }

  function wake() {
    if (!on) return;
    context = context || new AudioContext();
    context.resume().then(() => {
      show();
      hear(latest);
    });
  }

  /** Whether it sounded, or is not to sound. */
  function play(kind) {
    if (!on) return true;
    if (!context || context.state !== "running") return false;
    NOTES[kind].forEach((pitch, place) => {
      const start = context.currentTime + place * 0.22;
      const tone = context.createOscillator();
      const loudness = context.createGain();
      tone.frequency.value = pitch;
      loudness.gain.setValueAtTime(0, start);
      loudness.gain.linearRampToValueAtTime(0.18, start + 0.03);
      loudness.gain.exponentialRampToValueAtTime(0.001, start + 0.4);
      tone.connect(loudness).connect(context.destination);
      tone.start(start);
      tone.stop(start + 0.45);
    });
    document.body.dataset.sounded = String(Number(document.body.dataset.sounded || 0) + 1);
    return true;
  }

  function tell(kind) {
    announce.textContent = "";
    announce.textContent = SAID[kind];
    if ("Notification" in window && Notification.permission === "granted" && document.hidden) {
      new Notification("Handrail", { body: SAID[kind], tag: "handrail-" + kind });
    }
  }

  button.addEventListener("click", () => {
    on = !on;
    keep(on);
    wake();
    show();
    if (on) play("request");
  });
  for (const name of ["pointerdown", "keydown"]) addEventListener(name, wake, { once: true });
  notify.hidden = !("Notification" in window) || Notification.permission !== "default";
  notify.addEventListener("click", async () => {
    await Notification.requestPermission();
    notify.hidden = Notification.permission !== "default";
  });
  show();

  /** The most urgent kind of the alerts that are not among the `known` keys. */
  function most(alerts, known) {
    const fresh = alerts.filter(([key]) => !known.has(key));
    return ["danger", "crisis", "request", "wrote"].find((kind) => fresh.some((alert) => alert[1] === kind));
  }

  function hear(alerts) {
    latest = alerts;
    const news = most(alerts, told);
    if (news) tell(news);
    alerts.forEach(([key]) => told.add(key));
    const waits = alerts.some(([, kind]) => kind === "crisis" || kind === "danger") && Date.now() > remindAt;
    const kind = most(alerts, heard) || (waits && "crisis");
    if (!kind || !play(kind)) return;
    alerts.forEach(([key]) => heard.add(key));
    remindAt = Date.now() + REMIND_MS;
  }

  return { hear };
}
