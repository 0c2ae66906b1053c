// One conversation: messages as they come, a reply that is never lost, forms that follow who has the voice.
import { showTimes, tick } from "./clocks.js";

/** A random UUID; crypto.randomUUID exists only on https and loopback. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20].reduceRight((text, at) => text.slice(0, at) + "-" + text.slice(at), hex);
}

const TYPING_EVERY_MS = 3000;
const TYPING_MS = 6000; // the widget repeats the signal while somebody writes

export function startTalk() {
  const talk = document.getElementById("talk");
  const messages = document.getElementById("messages");
  const composer = document.getElementById("composer");
  let last = Math.max(0, ...[...messages.children].map((message) => Number(message.dataset.sequence)));
  let part = talk.dataset.part;
  let draft = "";
  let sending = null; // the id of the message under way: a retry carries the same one

  const typing = document.getElementById("typing");
  let typingTimer = null;
  let typedAt = 0;

  /** The person is, or is no longer, writing. */
  function showTyping(on) {
    clearTimeout(typingTimer);
    const words = on ? "The person is writing" : "";
    if (typing.textContent !== words) typing.textContent = words;
    if (on) typingTimer = setTimeout(showTyping, TYPING_MS, false);
  }

  /** Tell the person that an answer is being written. */
  function tellTyping() {
    if (part !== "mine" || Date.now() - typedAt < TYPING_EVERY_MS) return;
    typedAt = Date.now();
    const body = new URLSearchParams({ csrf: document.body.dataset.csrf });
    const url = "/console/conversations/" + talk.dataset.conversation + "/typing";
    fetch(url, { method: "POST", body, headers: { "x-handrail": "console" } }).catch(() => {});
  }

  const bottom = () => (messages.scrollTop = messages.scrollHeight);
  const field = () => document.getElementById("text");

  function state(words, failed) {
    const shown = document.getElementById("reply-state");
    if (!shown) return;
    shown.textContent = words;
    shown.classList.toggle("failed", Boolean(failed));
  }

  async function send(form) {
    const button = form.querySelector("button");
    const body = new URLSearchParams(new FormData(form));
    sending = sending || uuid();
    body.set("client_id", sending);
    button.disabled = true;
    state("Sending");
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { "x-handrail": "console" } });
      if (answer.ok) {
        sending = null;
        if (form.id === "reply") form.reset();
        state("Sent");
      } else if (answer.status === 409) state((await answer.json()).said, true);
      else if (answer.status === 401) state("Not sent: you are signed out. Copy your words, then sign in again.", true);
      else state("Not sent. Try again: your words are still here.", true);
    } catch (error) {
      state("Not sent: no connection. Try again: your words are still here.", true);
    }
    button.disabled = false;
  }

  /** Show the number in this page alone; the next page does not have it. */
  async function reveal(form) {
    const shown = form.querySelector(".revealed");
    const body = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { "x-handrail": "console" } });
      if (answer.ok) shown.textContent = (await answer.json()).number;
      else shown.textContent = answer.status === 409 ? (await answer.json()).said : "Not shown. Try again.";
    } catch (error) {
      shown.textContent = "Not shown: no connection. Try again.";
    }
  }

  talk.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.classList.contains("reveal")) {
      event.preventDefault();
      return reveal(form);
    }
    if (form.id !== "reply" && !form.classList.contains("reviewed")) return;
    event.preventDefault();
    send(form);
  });
  talk.addEventListener("input", (event) => {
    if (event.target.id !== "text") return;
    sending = null;
    if (event.target.value) tellTyping();
  });
  talk.addEventListener("keydown", (event) => {
    if (event.target.id === "text" && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
  });
  talk.addEventListener("toggle", (event) => event.target.closest(".quick") && bottom(), true);
  bottom();

  return {
    where: (url) => url.replace(/after=\d+/, "after=" + last),
    message(data, id) {
      if (Number(id) <= last) return;
      last = Number(id);
      const near = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 120;
      messages.insertAdjacentHTML("beforeend", data.html);
      showTimes(messages.lastElementChild);
      if (near || data.author === "counselor") bottom();
      if (data.author === "person") showTyping(false);
    },
    typing: () => showTyping(true),
    status(data) {
      document.getElementById("status").innerHTML = data.html;
      tick();
    },
    /** Whether the person can be texted, and which texts did not arrive. */
    delivery(data) {
      document.getElementById("reach").innerHTML = data.reach;
      for (const old of messages.querySelectorAll(".trouble")) old.remove();
      for (const [sequence, why] of Object.entries(data.troubles)) {
        const by = messages.querySelector(`[data-sequence="${Number(sequence)}"] .by`);
        if (!by) continue;
        const mark = document.createElement("span");
        mark.className = "mark trouble";
        mark.textContent = why;
        by.append(" ", mark);
      }
    },
    /** Who has the voice has changed: other forms, the same draft. */
    part(data) {
      if (data.part === part) return;
      if (field()) draft = field().value;
      const lost = part === "mine" && draft;
      part = data.part;
      if (part === "erased") messages.replaceChildren();
      composer.innerHTML = data.composer;
      document.getElementById("actions").innerHTML = data.actions;
      if (field()) field().value = draft;
      else if (lost) {
        const kept = document.createElement("p");
        kept.className = "alert";
        kept.textContent = "You no longer have the voice. You had written: " + draft;
        composer.prepend(kept);
      }
    },
    claim: () => document.getElementById("claim") && document.getElementById("claim").requestSubmit(),
    reply: () => field() && field().focus(),
  };
}
