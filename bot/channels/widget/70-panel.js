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
  const SIZES = [0.89, 1, 1.16, 1.33, 1.6]; // times --handrail-text-size

  function lines() {
    return words.bar().map((line) => make("li", {}, link(line.href, line.label)));
  }

  /** Build the widget; `on` has open, hide, leave, send(text), choose(choice), startOver, erase, language(tag), look(key, value). */
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
    const subtitle = make("p", { say: "subtitle" });
    const head = make(
      "header",
      { class: "head" },
      heading,
      make("button", { type: "button", say: "leave", "aria-describedby": "leave-help", onclick: () => on.leave() }),
      menuButton,
      make("button", { type: "button", class: "icon", sayLabel: "close", onclick: () => on.hide() },
        make("span", { "aria-hidden": "true" }, "✕")),
      subtitle,
    );
    const barLines = make("ul", { class: "lines" });
    const bar = make("nav", { class: "bar", sayLabel: "bar" }, make("p", { say: "bar", "aria-hidden": "true" }), barLines);
    const menu = make("div", { class: "menu", hidden: true });
    const log = make("div", { class: "log", role: "log", "aria-live": "polite", tabindex: "0", sayLabel: "log", onscroll: () => atBottom() && (jump.hidden = true) });
    const jump = make("button", { type: "button", class: "jump", hidden: true, say: "new_message", onclick: () => scrollToEnd() });
    const typing = make("div", { class: "typing", hidden: true, "aria-hidden": "true" }, make("i"), make("i"), make("i"), make("span", { say: "typing" }));
    const standing = make("div", { class: "standing", role: "status", hidden: true }); // counselors: who is here, or one's place
    const input = make("textarea", { id: "input", rows: "1", enterkeyhint: "send", autocomplete: "off" });
    const composer = make(
      "form",
      { class: "composer" },
      make("label", { for: "input", class: "sr", say: "input" }),
      input,
      make("button", { class: "main", say: "send" }),
    );
    const announcer = make("div", { class: "sr", role: "status" }); // it follows what is shown: a modal panel mutes the rest
    const panel = make("dialog", { class: "panel scale", "aria-labelledby": "title" }, make("div", { class: "top" }, head, bar), menu, standing, log, jump, typing, composer);
    const root = make("div", { class: "root" + (options.left ? " left" : "") }, dock, panel, announcer);
    shadow.append(root);

    let opener = null;
    let anchor = null; // the first message of what has just been said: what to scroll to
    let lastAdded = 0;
    let typingTimer = null;
    let modal = false;
    let chosen = { size: 1, dark: null, contrast: null };
    const shown = {}; // the same, with the system's word where nothing was chosen
    const system = { dark: matchMedia("(prefers-color-scheme: dark)"), contrast: matchMedia("(prefers-contrast: more)") };

    // Words
    function dress() {
      root.lang = words.language;
      root.dir = words.direction();
      dockLines.replaceChildren(...lines());
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

    function toggle(key) {
      return make("button", { type: "button", say: key, "aria-pressed": String(shown[key]), onclick: () => on.look(key, !shown[key]) });
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
        make("p", { say: "leave_help", id: "leave-help", class: "row" }),
        choose("language", languages),
        choose("look", [
          menuAction("text_larger", () => on.look("size", shown.size + 1)),
          menuAction("text_smaller", () => on.look("size", shown.size - 1)),
          toggle("dark"),
          toggle("contrast"),
        ]),
        make(
          "div",
          { class: "row" },
          menuAction("new_conversation", () => confirm("new_confirm", "new_yes", on.startOver)),
          menuAction("erase", () => confirm("erase_confirm", "erase_yes", on.erase)),
        ),
        make("p", {}, link(handrail.desk + "/help", make("span", { say: "help_page" }))),
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
      const typing = shadow.activeElement === input && matchMedia("(pointer: coarse)").matches; // its keyboard would go
      if (panel.open && panel.showModal && modal !== isFull() && !typing) show(); // turned, resized or zoomed
    }

    const isFull = () => root.classList.contains("full");

    /** Over the whole screen nothing behind the panel takes the focus; beside a page the page stays usable. */
    function show() {
      const focused = panel.open && shadow.activeElement;
      const top = log.scrollTop;
      if (panel.open) panel.close();
      modal = isFull();
      if (modal) panel.showModal();
      else panel.show();
      log.scrollTop = top;
      if (focused) focused.focus();
    }

    function paint() {
      for (const key of ["dark", "contrast"]) {
        shown[key] = chosen[key] === null ? system[key].matches : chosen[key];
        root.classList.toggle(key, shown[key]);
      }
      shown.size = chosen.size = Math.max(0, Math.min(SIZES.length - 1, chosen.size));
      root.style.setProperty("--step", SIZES[shown.size]);
      menu.querySelectorAll("[aria-pressed][data-say]").forEach((button) => button.setAttribute("aria-pressed", String(shown[button.dataset.say])));
      fit();
    }
    for (const query of Object.values(system)) if (query.addEventListener) query.addEventListener("change", paint);

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
    input.addEventListener("input", () => {
      grow();
      on.typing();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
    });

    panel.addEventListener("cancel", (event) => event.preventDefault()); // Esc is ours
    panel.addEventListener("close", () => !panel.open && dock.hidden && on.hide()); // a phone's back gesture
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
        dock.hidden = true;
        if (panel.showModal) show();
        else panel.setAttribute("open", "");
        panel.append(announcer);
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
        root.append(announcer);
        if (panel.close) panel.close();
        else panel.removeAttribute("open");
        if (opener && opener !== document.body && opener.isConnected) opener.focus();
        else launcher.focus();
      },
      dress,
      /** Follow the person's choices: {size, dark, contrast}; null is as the system has it. */
      look(choices) {
        chosen = choices;
        paint();
      },
      /** Say whether a counselor is here. */
      counselor(here) {
        subtitle.dataset.say = here ? "counselor_here" : "subtitle";
        relabel(head);
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
          if (!news) return;
          launcher.dataset.say = "unread";
          relabel(dock);
          view.announce(words.label("unread"));
        } else if (follow) reveal(anchor);
        else jump.hidden = false;
      },
      clear() {
        log.replaceChildren();
        anchor = null;
        jump.hidden = true;
        view.typing(false);
        view.standing({});
        if (options.demo) view.add(make("p", { class: "notice", say: "demo_notice" }));
      },
      /** The answers of earlier turns go when a new turn begins; those of a hotline card stay. */
      dropChoices() {
        const inside = log.contains(shadow.activeElement);
        log.querySelectorAll(".message:not(.card) > .choices").forEach((group) => group.remove());
        if (inside && !shadow.activeElement) input.focus();
      },
      card: () => make("div", { class: "message card builtin" }, make("div", { class: "body" }, rich(words.card().html, words.card().text))),
      /** Say who of the counselors is here, or the person's place in their list with the way to leave it; or nothing. */
      standing({ counselor, place }) {
        const key = counselor ? "standing_counselor" : place && "standing_place";
        standing.hidden = !key;
        standing.replaceChildren();
        if (!key) return;
        standing.append(make("span", {}, words.label(key, { name: counselor, place })));
        if (!counselor) standing.append(make("button", { type: "button", say: "cancel_request", onclick: () => on.cancelRequest() }));
      },
      /** Show that somebody is writing: the program, or the counselor of this name. */
      typing(shown, name) {
        typing.lastElementChild.textContent = name ? words.label("counselor_typing", { name }) : words.label("typing");
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
    paint();
    dress();
    return view;
  };
})(window.HANDRAIL);
