// The queue: rows come rendered and escaped from the server; the place one was at and the filters stay.
import { showTimes, tick } from "./clocks.js";

export function startQueue() {
  const rows = document.getElementById("rows");
  const filters = document.getElementById("filters");
  const filtered = document.getElementById("filtered");
  let known = new Set([...rows.querySelectorAll(".row")].map((row) => row.dataset.id));

  function matches(row) {
    const { state, channel, language } = Object.fromEntries(new FormData(filters));
    const shown = !state || row.dataset.state === state || (state === "crisis" && row.dataset.kind === "crisis");
    return shown && (!channel || row.dataset.channel === channel) && (!language || row.dataset.language === language);
  }

  function filter() {
    const all = [...rows.querySelectorAll(".row")];
    for (const row of all) row.hidden = !matches(row);
    const hidden = all.filter((row) => row.hidden);
    const crises = hidden.filter((row) => row.dataset.kind === "crisis" && row.dataset.state === "waiting").length;
    filtered.hidden = hidden.length === 0;
    filtered.classList.toggle("alert", crises > 0);
    filtered.textContent = hidden.length + " hidden by the filters" + (crises ? ", " + crises + " of them a waiting crisis" : "");
  }

  let last = {}; // where the focus was in the rows
  rows.addEventListener("focusin", ({ target }) => {
    last = { id: target.closest(".row").dataset.id, isButton: target.tagName === "BUTTON" };
  });

  function focusLast() {
    const row = [...rows.querySelectorAll(".row")].find((each) => each.dataset.id === last.id);
    if (row) ((last.isButton && row.querySelector("button")) || row.querySelector("a")).focus();
  }

  function draw(html) {
    const held = rows.contains(document.activeElement);
    rows.innerHTML = html;
    for (const row of rows.querySelectorAll(".row")) if (!known.has(row.dataset.id)) row.classList.add("new");
    if (held) focusLast();
    known = new Set([...rows.querySelectorAll(".row")].map((row) => row.dataset.id));
    showTimes(rows);
    tick();
    filter();
  }

  // A dialog gives the focus back to where it was, which may have been drawn anew meanwhile.
  addEventListener("close", () => document.activeElement === document.body && focusLast(), true);
  filters.addEventListener("change", filter);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filter();

  const links = () => [...rows.querySelectorAll(".row:not([hidden]) a.open")];
  return {
    queue: (data) => data.html !== undefined && draw(data.html),
    /** Move the focus to the next or previous conversation. */
    step(by) {
      const all = links();
      if (!all.length) return;
      const row = document.activeElement.closest(".row");
      const here = row ? all.indexOf(row.querySelector("a.open")) : -1;
      all[here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, here + by))].focus();
    },
    /** Claim the conversation that has the focus. */
    claim() {
      const row = document.activeElement.closest(".row");
      const form = row && row.querySelector("form");
      if (form) form.requestSubmit();
    },
  };
}
