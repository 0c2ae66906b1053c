// What the person sees: the dock while closed, the panel while open. It knows nothing of the network.
(function (handrail) {
  "use strict";
  const { make, link, rich, relabel } = handrail.dom;
  const { words, options } = handrail;
  const NEAR_BOTTOM_PX = 60;
  const BURST_MS = 6000; // messages closer together than this are read as one
  const TYPING_MS = 6000; // the bot answers within 4 s; a counselor's client repeats the signal
  const SHORT_EM = 27;
  const TINY_EM = 17;
  const SIZES = [1, 1.125, 1.3, 1.5, 1.8];

  function lines(count) {
    const items = words.bar().slice(0, count);
    return items.map((line) => make("li", {}, link(line.href, line.label)));
  }

  /** Build the widget; `on` has open, hide, leave, send(text), choose(choice), startOver, erase, language(tag), size(n). */
  handrail.createPanel = function (on) {
    const host = document.createElement("handrail-widget");
    const shadow = host.attachShadow({ mode: "open" });
    handrail.addStyle(shadow);

    // Dock
    const dockLines = make("ul", { class: "lines" });
    const launcher = make("button", { type: "button", class: "main", say: "launcher", onclick: () => on.open() });
    const dock = make("section", { class: "dock scale", sayLabel: "bar" }, dockLines, launcher);

    // Panel
    const heading = make("h2", { id: "title", tabindex: "-1", say: "title" });
    const menuButton = make(
      "button",
      { type: "button", class: "icon", sayLabel: "menu", "aria-expanded": "false", onclick: () => showMenu(menu.hidden) },
      make("span", { "aria-hidden": "true" }, "•••"),
    );
    const head = make(
      "header",
      { class: "head" },
      heading,
      make("button", { type: "button", say: "leave", "aria-describedby": "leave-help", onclick: () => on.leave() }),
      menuButton,
      make("button", { type: "button", class: "icon", sayLabel: "close", onclick: () => on.hide() },
        make("span", { "aria-hidden": "true" }, "✕")),
      make("p", { say: "subtitle" }),
    );
    const barLines = make("ul", { class: "lines" });
    const bar = make("nav", { class: "bar", sayLabel: "bar" }, make("p", { say: "bar", "aria-hidden": "true" }), barLines);
    const menu = make("div", { class: "menu", hidden: true });
    const log = make("div", { class: "log", role: "log", "aria-live": "polite", tabindex: "0", sayLabel: "log", onscroll: () => atBottom() && (jump.hidden = true) });
    const jump = make("button", { type: "button", class: "jump", hidden: true, say: "new_message", onclick: () => scrollToEnd() });
    const typing = make("div", { class: "typing", hidden: true, "aria-hidden": "true" }, make("i"), make("i"), make("i"), make("span", { say: "typing" }));
    const input = make("textarea", { id: "input", rows: "1", enterkeyhint: "send", autocomplete: "off" });
    const composer = make(
      "form",
      { class: "composer" },
      make("label", { for: "input", class: "sr", say: "input" }),
      input,
      make("button", { class: "main", say: "send" }),
    );
    const announcer = make("div", { class: "sr", role: "status" });
    const panel = make("dialog", { class: "panel scale", "aria-labelledby": "title" }, make("div", { class: "top" }, head, bar), menu, log, jump, typing, composer, announcer);
    const root = make("div", { class: "root" + (options.left ? " left" : "") }, dock, panel);
    shadow.append(root);

    let opener = null;
    let anchor = null; // the first message of what has just been said: what to scroll to
    let lastAdded = 0;
    let typingTimer = null;

    // Words
    function dress() {
      root.lang = words.language;
      root.dir = words.direction();
      dockLines.replaceChildren(...lines(2));
      barLines.replaceChildren(...lines());
      input.placeholder = words.label("input");
      relabel(root);
      drawMenu();
    }

    function choose(name, entries) {
      return make("div", { class: "row", role: "group", sayLabel: name }, ...entries);
    }

    function menuAction(key, act) {
      return make("button", { type: "button", say: key, onclick: act });
    }

    function confirm(question, yes, act) {
      const cancel = menuAction("cancel", () => {
        drawMenu();
        menu.querySelector("button").focus();
      });
      const go = menuAction(yes, () => {
        showMenu(false);
        act();
      });
      menu.replaceChildren(make("p", { say: question, class: "row" }), make("div", { class: "row" }, go, cancel));
      cancel.focus();
    }

    function drawMenu() {
      const languages = words.all().map((tag) =>
        make("button", {
          type: "button",
          lang: tag,
          "aria-pressed": String(tag === words.language),
          onclick: () => {
            showMenu(false);
            on.language(tag);
          },
        }, words.label("language_name", null, tag)),
      );
      menu.replaceChildren(
        choose("language", languages),
        make("div", { class: "row" }, menuAction("text_larger", () => on.size(1)), menuAction("text_smaller", () => on.size(-1))),
        make(
          "div",
          { class: "row" },
          menuAction("new_conversation", () => confirm("new_confirm", "new_yes", on.startOver)),
          menuAction("erase", () => confirm("erase_confirm", "erase_yes", on.erase)),
        ),
        make("p", {}, link(handrail.desk + "/help", make("span", { say: "help_page" }))),
        make("p", { say: "leave_help", id: "leave-help", class: "note" }),
      );
    }

    function showMenu(shown) {
      const inside = menu.contains(shadow.activeElement);
      menu.hidden = !shown;
      menuButton.setAttribute("aria-expanded", String(shown));
      if (shown) drawMenu();
      else if (inside) menuButton.focus();
    }

    // Scrolling: the log, or the whole panel when there is very little height
    const scroller = () => (root.classList.contains("tiny") ? panel : log);
    function atBottom() {
      const box = scroller();
      return box.scrollHeight - box.clientHeight - box.scrollTop < NEAR_BOTTOM_PX;
    }
    function scrollToEnd() {
      scroller().scrollTop = scroller().scrollHeight;
      jump.hidden = true;
    }
    function reveal(element) {
      const box = scroller();
      const top = box.scrollTop + element.getBoundingClientRect().top - box.getBoundingClientRect().top;
      box.scrollTop = Math.max(0, top - 12 - (box === panel ? bar.parentElement.offsetHeight : 0));
      jump.hidden = atBottom();
    }

    // The person's screen: full on a phone, short while its keyboard is up, tiny when zoomed in
    function fit() {
      const view = window.visualViewport || { height: innerHeight, width: innerWidth, offsetTop: 0 };
      const em = parseFloat(getComputedStyle(panel).fontSize) || 16;
      root.classList.toggle("full", innerWidth < 40 * 16 || innerHeight < SHORT_EM * em);
      root.classList.toggle("short", view.height < SHORT_EM * em);
      root.classList.toggle("tiny", view.height < TINY_EM * em);
      root.style.setProperty("--height", view.height + "px");
      root.style.setProperty("--top", view.offsetTop + "px");
    }

    // Composer
    function submit(event) {
      event.preventDefault();
      const text = input.value.trim();
      if (!text) return input.focus();
      input.value = "";
      grow();
      input.focus();
      on.send(text);
    }
    function grow() {
      input.style.height = "auto";
      input.style.height = input.scrollHeight + 2 + "px";
    }
    composer.addEventListener("submit", submit);
    input.addEventListener("input", grow);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
    });

    panel.addEventListener("cancel", (event) => event.preventDefault()); // Esc is ours
    panel.addEventListener("close", () => dock.hidden && on.hide()); // a phone's back gesture
    for (const target of [window, window.visualViewport]) if (target) target.addEventListener("resize", fit);
    if (window.visualViewport) window.visualViewport.addEventListener("scroll", fit);

    const view = {
      host,
      get shown() {
        return panel.open;
      },
      open({ focus }) {
        if (panel.open) return;
        opener = document.activeElement === host ? launcher : document.activeElement;
        fit();
        if (!panel.showModal) panel.setAttribute("open", "");
        else if (root.classList.contains("full")) panel.showModal();
        else panel.show();
        dock.hidden = true;
        fit();
        launcher.dataset.say = "launcher";
        relabel(dock);
        if (anchor) reveal(anchor);
        if (focus) (matchMedia("(pointer: fine)").matches ? input : heading).focus();
        else if (shadow.activeElement) shadow.activeElement.blur();
      },
      hide() {
        showMenu(false);
        dock.hidden = false;
        if (panel.close) panel.close();
        else panel.removeAttribute("open");
        if (opener && opener !== document.body && opener.isConnected) opener.focus();
        else launcher.focus();
      },
      dress,
      size(step) {
        const index = Math.max(0, Math.min(SIZES.length - 1, step));
        root.style.setProperty("--size", SIZES[index]);
        fit();
        return index;
      },
      /** Show an element in the log; `before` is what it belongs above, `quiet` is for what a reload brings back. */
      add(element, { own = false, card = false, urgent = false, news = false, quiet = false, before = null } = {}) {
        const follow = own || card || urgent || atBottom();
        const now = Date.now();
        if (own || card || !anchor || now - lastAdded > BURST_MS) anchor = element;
        lastAdded = now;
        log.insertBefore(element, before);
        if (quiet) return;
        if (!panel.open) {
          if (news) launcher.dataset.say = "unread";
          relabel(dock);
        } else if (follow) reveal(anchor);
        else jump.hidden = false;
      },
      clear() {
        log.replaceChildren();
        anchor = null;
        jump.hidden = true;
        view.typing(false);
        if (options.demo) view.add(make("p", { class: "notice", say: "demo_notice" }));
      },
      /** The answers of earlier turns go when a new turn begins; those of a hotline card stay. */
      dropChoices() {
        const inside = log.contains(shadow.activeElement);
        log.querySelectorAll(".message:not(.card) > .choices").forEach((group) => group.remove());
        if (inside && !shadow.activeElement) input.focus();
      },
      card: () => make("div", { class: "message card builtin" }, make("div", { class: "body" }, rich(words.card().html, words.card().text))),
      typing(shown) {
        clearTimeout(typingTimer);
        typing.hidden = !shown;
        if (shown) typingTimer = setTimeout(() => (typing.hidden = true), TYPING_MS);
      },
      announce(text) {
        announcer.textContent = text;
      },
      draft(text) {
        if (!input.value) input.value = text;
        grow();
      },
    };
    view.clear();
    dress();
    return view;
  };
})(window.HANDRAIL);
