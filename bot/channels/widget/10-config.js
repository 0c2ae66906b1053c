// Handrail's widget. Each file adds one part to `handrail`; the desk serves them, in name order, as one script.
(function (handrail) {
  "use strict";

  // Every word the widget shows is one of these keys of HANDRAIL_CONFIG.languages[language].labels.
  handrail.LABELS = [
    "launcher", "unread", "title", "subtitle", "counselor_here", "close", "leave", "leave_help", "menu", "bar", "log",
    "input", "send", "sending", "sent", "waiting", "failed", "retry", "ask_send", "send_now", "discard",
    "offline", "back_online", "ended", "typing", "new_message", "choices",
    "you", "bot", "counselor", "counselor_named", "counselor_typing", "standing_place", "standing_counselor", "cancel_request", "demo_notice", "help_page",
    "new_conversation", "new_confirm", "new_yes", "erase", "erase_confirm", "erase_yes", "erase_failed", "cancel",
    "language", "language_name", "language_request", "look", "text_larger", "text_smaller", "dark", "contrast",
    "timer_start", "timer_left", "timer_stop", "timer_done", "plan_save", "plan_print",
  ];

  handrail.ASK_BEFORE_SENDING_AFTER_MS = 10 * 60 * 1000; // unsent text older than this is not sent without asking
  handrail.REQUEST_TIMEOUT_MS = 8000; // the desk answers within 4 s
  handrail.SILENCE_TIMEOUT_MS = 40000; // the desk sends a heartbeat at least every 15 s
  handrail.DOUBLE_ESCAPE_MS = 1500;
  handrail.NEUTRAL_PAGE = "https://www.wikipedia.org/";

  const script = document.currentScript;
  const config = window.HANDRAIL_CONFIG || {};
  const languages = config.languages || {};
  const asked = [script && script.dataset.language, document.documentElement.lang, navigator.language, "en"];
  let language = asked.map((tag) => (tag || "").slice(0, 2).toLowerCase()).find((tag) => languages[tag]) || "en";

  handrail.desk = new URL(script ? script.src : location.href, location.href).origin;
  handrail.options = {
    demo: config.mode === "demo",
    left: Boolean(script) && script.dataset.position === "left",
    neutralPage: (script && script.dataset.exit) || config.exit_url || handrail.NEUTRAL_PAGE,
  };

  handrail.words = {
    get language() {
      return language;
    },
    use(tag) {
      if (languages[tag]) language = tag;
    },
    all: () => Object.keys(languages),
    direction: () => (languages[language] || {}).direction || "ltr",
    bar: () => (languages[language] || {}).bar || [],
    card: () => (languages[language] || {}).card || { text: "", html: "" },
    label(key, values, tag) {
      const from = (name) => ((languages[name] || {}).labels || {})[key];
      const text = from(tag || language) || from("en") || key.replace(/_/g, " ");
      return text.replace(/\{(\w+)\}/g, (whole, name) => (values && name in values ? values[name] : whole));
    },
  };
})((window.HANDRAIL = window.HANDRAIL || {}));
