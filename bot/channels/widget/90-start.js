// Start: put the closed widget on the page, and join the parts.
(function (handrail) {
  "use strict";
  const { words, options } = handrail;

  function start() {
    if (document.querySelector("handrail-widget")) return;
    let opened = false; // nothing is stored, asked of the desk or listened to before this
    let lastEscape = -Infinity;
    let others = null; // the other tabs of this website

    const view = handrail.createPanel({
      open: () => open({ focus: true }),
      hide,
      leave,
      send: (text) => conversation.send(text),
      typing: () => conversation.typing(),
      cancelRequest: () => conversation.cancelRequest(),
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
      /** Change the text by a step, or turn dark colors or strong contrast on or off. */
      look(key, value) {
        conversation.session[key] = value;
        view.look(conversation.session);
        conversation.save();
      },
    });
    const conversation = handrail.createConversation(view);

    function open({ focus }) {
      view.open({ focus });
      conversation.session.open = true;
      if (opened) return conversation.save();
      begin();
    }

    function begin() {
      opened = true;
      if (!others && window.BroadcastChannel) {
        others = new BroadcastChannel("handrail");
        others.onmessage = clear;
      }
      conversation.start();
    }

    function hide() {
      view.hide();
      conversation.session.open = false;
      conversation.save();
    }

    /** Nothing left in this tab or in the widget. */
    function clear() {
      opened = false;
      conversation.wipe();
      if (view.shown) view.hide();
      view.look(conversation.session);
    }

    /** Quick exit: nothing left in any tab or on the screen, and Back does not return here. */
    function leave() {
      document.documentElement.style.setProperty("display", "none", "important");
      document.title = " ";
      if (others) others.postMessage("left");
      conversation.wipe();
      location.replace(options.neutralPage);
    }

    /** Go on with what this tab remembers; a page out of the browser's cache may be behind it. */
    function restore() {
      if (!conversation.restore()) return view.shown && clear();
      const { language, open: wasOpen } = conversation.session;
      words.use(language);
      view.dress();
      view.look(conversation.session);
      if (!wasOpen && view.shown) view.hide();
      if (wasOpen && !view.shown) view.open({ focus: false });
      begin();
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
    window.addEventListener("pagehide", (event) => event.persisted && opened && conversation.pause());
    window.addEventListener("pageshow", (event) => event.persisted && opened && restore());
    document.addEventListener("click", (event) => {
      if (!(event.target instanceof Element) || !event.target.closest("[data-handrail-open]")) return;
      event.preventDefault(); // a link to the hotlines where this script is missing
      open({ focus: true });
    });

    document.documentElement.append(view.host); // not into the body: some websites replace, move or scale it
    restore();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})(window.HANDRAIL);
