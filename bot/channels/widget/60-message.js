// One message on the screen: its author, its words, its choices, its timer, and for the person's own whether it went.
(function (handrail) {
  "use strict";
  const { make, rich } = handrail.dom;

  /** A quiet countdown for a guided step; the choices below work whether or not it is used. */
  function timer(seconds, announce) {
    const { label } = handrail.words;
    const shown = make("span", { role: "timer", "aria-live": "off" });
    const fill = make("i", {});
    const track = make("span", { class: "track", hidden: true, "aria-hidden": "true" }, fill);
    const button = make("button", { type: "button", onclick: () => (ticking ? stop("") : start()) });
    let ticking = null;

    function stop(message) {
      clearInterval(ticking);
      ticking = null;
      track.hidden = true;
      shown.textContent = message;
      button.textContent = label("timer_start", { seconds });
      if (message) announce(message);
    }

    function start() {
      const end = Date.now() + seconds * 1000;
      track.hidden = false;
      button.textContent = label("timer_stop");
      const tick = () => {
        const left = Math.ceil((end - Date.now()) / 1000);
        if (left <= 0) return stop(label("timer_done"));
        shown.textContent = label("timer_left", { seconds: left });
        fill.style.transform = "scaleX(" + left / seconds + ")";
      };
      ticking = setInterval(tick, 1000);
      tick();
    }

    stop("");
    return make("div", { class: "timer" }, button, track, shown);
  }

  function choices(message, onChoice) {
    const buttons = message.choices.map((choice) =>
      make("button", { type: "button", onclick: () => onChoice(choice, message) }, choice.label),
    );
    return make("div", { class: "choices", role: "group", sayLabel: "choices" }, ...buttons);
  }

  /** A plan leaves with the person: as a text file made here, or on paper. Nothing is sent anywhere. */
  function keeping(text) {
    function save() {
      const file = URL.createObjectURL(new Blob([text + "\n"], { type: "text/plain;charset=utf-8" }));
      make("a", { href: file, download: "plan.txt" }).click();
      setTimeout(() => URL.revokeObjectURL(file), 10000);
    }

    function print() {
      const page = window.open("", "_blank");
      if (!page) return save();
      const words = page.document.createElement("pre");
      words.textContent = text;
      words.style.cssText = "white-space: pre-wrap; font: 16px/1.5 sans-serif";
      page.document.body.append(words);
      page.onafterprint = () => page.close(); // nothing of it stays open
      page.print();
    }

    const button = (key, act) => make("button", { type: "button", say: key, onclick: act });
    return make("div", { class: "actions" }, button("plan_save", save), button("plan_print", print));
  }

  function author(message) {
    if (!message.name) return make("p", { class: "author", say: handrail.authorLabel(message.author) });
    return make("p", { class: "author" }, handrail.words.label("counselor_named", { name: message.name }));
  }

  /** The element of a message; `on` has choose(choice, message) and announce(text). */
  handrail.drawMessage = function (message, on) {
    const body = make("div", { class: "body" });
    if (message.author === "bot") body.append(rich(message.html, message.text));
    else body.append(message.text);
    const kind = "message " + message.author + (message.card ? " card" : "");
    const element = make("div", { class: kind }, author(message), body);
    if (message.timer_seconds) element.append(timer(message.timer_seconds, on.announce));
    if (message.item === "plan/done") element.append(keeping(message.text));
    if (message.choices && message.choices.length) element.append(choices(message, on.choose));
    return element;
  };

  handrail.authorLabel = (author) => ({ person: "you", counselor: "counselor" })[author] || "bot";

  /**
   * The person's own message and how far it got. `state` is a label key: sending, sent, waiting, failed or ask_send;
   * `actions` is a list of [label key, function] shown as buttons under it.
   */
  handrail.drawOwn = function (message) {
    const element = handrail.drawMessage({ ...message, author: "person" }, {});
    const line = make("p", { class: "state", "aria-live": "off" });
    const buttons = make("div", { class: "actions" });
    element.append(line, buttons);
    return {
      element,
      show(state, actions = []) {
        element.classList.toggle("unsent", ["waiting", "failed", "ask_send"].includes(state));
        line.textContent = state ? handrail.words.label(state) : "";
        buttons.replaceChildren(
          ...actions.map(([key, act]) => make("button", { type: "button", say: key, onclick: act })),
        );
      },
    };
  };
})(window.HANDRAIL);
