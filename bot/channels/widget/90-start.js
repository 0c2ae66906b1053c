// Start: put the closed widget on the page, and join the parts.
(function (handrail) {
  "use strict";
  const { words, options } = handrail;

  function start() {
    if (document.querySelector("handrail-widget")) return;
    let opened = false; // nothing is stored, asked of the desk or listened to before this
    let lastEscape = -Infinity;

    const view = handrail.createPanel({
      open: () => open({ focus: true }),
      hide,
      leave,
      send: (text) => conversation.send(text),
      startOver: () => conversation.startOver(),
      erase: () => conversation.erase(),
      language(tag) {
        if (tag === words.language) return;
        words.use(tag);
        conversation.session.language = tag;
        view.dress();
        if (conversation.session.begun) conversation.send(words.label("language_request"));
        else conversation.startOver();
      },
      size(step) {
        conversation.session.size = view.size(conversation.session.size + step);
        conversation.save();
      },
    });
    const conversation = handrail.createConversation(view);

    function open({ focus }) {
      view.open({ focus });
      conversation.session.open = true;
      if (opened) return conversation.save();
      opened = true;
      conversation.start();
    }

    function hide() {
      view.hide();
      conversation.session.open = false;
      conversation.save();
    }

    /** Quick exit: nothing left in the tab or on the screen, and Back does not return here. */
    function leave() {
      conversation.wipe();
      document.documentElement.style.setProperty("display", "none", "important");
      document.title = " ";
      location.replace(options.neutralPage);
    }

    window.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Escape" || event.repeat || event.isComposing || !opened) return;
        if (event.timeStamp - lastEscape < handrail.DOUBLE_ESCAPE_MS) return leave();
        lastEscape = event.timeStamp;
        if (view.shown) hide();
      },
      true,
    );
    window.addEventListener("online", () => opened && conversation.nudge({ changed: true }));
    window.addEventListener("offline", () => opened && conversation.lost());
    document.addEventListener("visibilitychange", () => {
      if (opened && !document.hidden) conversation.nudge({ changed: false });
    });
    document.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("[data-handrail-open]")) open({ focus: true });
    });

    document.body.append(view.host);
    if (conversation.opened) {
      const { language, size } = conversation.session;
      words.use(language);
      view.dress();
      view.size(size);
      conversation.restore();
      if (conversation.session.open) open({ focus: false });
      else {
        opened = true;
        conversation.start();
      }
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})(window.HANDRAIL);
