// Keys, outside of fields: j k c r q and the help behind the question mark. They can be switched off in the help (WCAG 2.1.4).
const KEY = "handrail-console-keys";

function kept() {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch (error) {
    return true;
  }
}

export function startKeys(page) {
  const help = document.getElementById("help");
  const choice = document.getElementById("keys-on");
  choice.checked = kept();
  choice.addEventListener("change", () => {
    try {
      localStorage.setItem(KEY, choice.checked ? "on" : "off");
    } catch (error) {
      // only the memory of it is lost
    }
  });
  document.getElementById("help-open").addEventListener("click", () => help.showModal());
  const acts = {
    j: () => page.step && page.step(1),
    k: () => page.step && page.step(-1),
    c: () => page.claim && page.claim(),
    r: () => page.reply && page.reply(),
    q: () => location.assign("/console/"),
    "?": () => help.showModal(),
  };
  addEventListener("keydown", (event) => {
    if (!choice.checked) return;
    const writing = event.target.closest("input, textarea, select, dialog");
    if (writing || event.ctrlKey || event.metaKey || event.altKey || !acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
}
