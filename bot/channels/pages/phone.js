// The demonstration's phone. Words come from the page; texts are only ever set as text.
const section = document.getElementById("phone");
const [form, log, words] = [section.querySelector("form"), section.querySelector("ol"), section.querySelector("input")];
const POLL_MILLISECONDS = 3000;
let phone = null;
let asking = Promise.resolve();

function show(message, mine) {
  const item = document.createElement("li");
  item.className = mine ? "mine" : "theirs";
  const text = document.createElement("p");
  text.textContent = message.text;
  const cost = document.createElement("small");
  cost.textContent = `${message.segments} SMS · ${message.encoding}`;
  item.append(text, cost);
  log.append(item);
  log.scrollTop = log.scrollHeight;
}

function ask(text) {
  asking = asking.then(async () => {
    try {
      const answer = await fetch("/demo/phone", { method: "POST", body: JSON.stringify({ phone, text }) });
      const told = answer.ok ? await answer.json() : { messages: [] };
      phone = told.phone || phone;
      if (text && told.sent) show(told.sent, true);
      for (const message of told.messages) show(message, false);
    } catch {
      if (text) words.value = text;
    }
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = words.value;
  if (!text.trim()) return;
  words.value = "";
  ask(text);
});
setInterval(() => phone && !document.hidden && ask(""), POLL_MILLISECONDS);
section.hidden = false;
