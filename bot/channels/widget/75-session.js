// What this tab remembers: a copy in sessionStorage, which no other tab reads and which ends with the tab.
(function (handrail) {
  "use strict";
  const KEY = "handrail";
  const FRESH = { token: null, begun: false, last: 0, messages: [], unsent: [] }; // of a conversation
  const OWN = { open: false, size: 1, dark: null, contrast: null, language: null }; // of the person: outlives it

  handrail.session = {
    /** A session without a conversation, for a person who set up the widget as in `from`. */
    fresh: (from) => Object.keys(OWN).reduce((own, key) => ({ ...own, [key]: from ? from[key] : OWN[key] }), { ...FRESH }),

    /** What was kept, or null; a browser that forbids storage only loses the reload. */
    recall() {
      try {
        return JSON.parse(sessionStorage.getItem(KEY));
      } catch (error) {
        return null;
      }
    },

    keep(session) {
      try {
        sessionStorage.setItem(KEY, JSON.stringify(session));
      } catch (error) {
        // full or forbidden
      }
    },

    forget() {
      try {
        sessionStorage.removeItem(KEY);
      } catch (error) {
        // forbidden, so nothing was kept
      }
    },
  };
})(window.HANDRAIL);
