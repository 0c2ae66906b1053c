// The conversation: what was said, what still has to be sent, and what of it outlives a reload.
(function (handrail) {
  "use strict";
  const { api, words } = handrail;
  const { fresh, recall, keep, forget } = handrail.session;
  const KEPT_MESSAGES = 300;
  const ANSWER_MS = 6000; // the bot answers within 4 s; after this the record is asked instead of the stream
  const PRESENCE = { "people/counselor-joined": true, "people/counselor-left": false, "people/counselor-gone": false, "system/abusive-ended": false };
  const TYPING_EVERY_MS = 3000;

  /** Whether `message` is what was `shown`: the person's by its id, an answer by its key, the opening by its words. */
  function isSame(shown, message) {
    if (message.author === "person") return Boolean(message.client_id) && shown.client_id === message.client_id;
    if (message.key && shown.key) return shown.key === message.key;
    return message.sequence != null && message.in_reply_to == null && shown.item === message.item && shown.text === message.text;
  }

  const notice = (key) => handrail.dom.make("p", { class: "notice", say: key });

  /** `view` is the panel; returns what the person can do. */
  handrail.createConversation = function (view) {
    let session = fresh();
    let outbox = []; // the person's messages not yet acknowledged: {id, text | choice, label, at, failed, drawn}
    let drawn = new Map(); // sequence -> element on the screen
    let unplaced = []; // [message, element] shown without a sequence; the record may give them one later
    let stream = null;
    let outage = null; // the notice on the screen while the desk cannot be reached
    let said = notice("back_online"); // the latest word on the connection
    let builtin = view.card(); // the hotline card that needs no desk
    let round = 0; // a new conversation makes answers to the old one meaningless
    let retryTimer = null;
    let answerTimer = null;
    let attempt = 0;
    let busy = null; // the round whose outstanding work is being done
    let lastOwn = null; // the newest own message: the only one whose "sent" is shown
    let over = false; // ended or erased: what is on the screen belongs to no conversation; the next message opens one
    let answered = 0; // the newest own sequence whose last reply is here
    let counselor = false; // one has the voice: the program is not writing
    let standing = {}; // with the counselors: {counselor} by name, or {place}
    let typedAt = 0;

    function save() {
      session.unsent = outbox.map(({ id, text, choice, label, at, failed }) => ({ id, text, choice, label, at, failed }));
      keep(session);
    }

    const on = { choose, announce: view.announce };

    // Showing
    function place(message, element, quiet, before) {
      if (message.sequence != null) {
        const later = [...drawn.keys()].filter((sequence) => sequence > message.sequence);
        if (later.length) before = drawn.get(Math.min(...later));
        drawn.set(message.sequence, element);
      } else unplaced.push([message, element]);
      view.add(element, { own: message.author === "person", card: message.card, news: !quiet, quiet, before });
    }

    /** Whether a message is on the screen already, from an answer or before the desk had recorded it. */
    function isShown(message) {
      if (drawn.has(message.sequence)) return true;
      const place = unplaced.findIndex(([shown]) => isSame(shown, message));
      if (place < 0) return false;
      if (message.sequence == null) return true;
      const [[shown, element]] = unplaced.splice(place, 1);
      shown.sequence = message.sequence;
      drawn.set(message.sequence, element);
      save();
      return true;
    }

    function accept(message, { quiet = false, before = null } = {}) {
      if (isShown(message)) return;
      if (message.author === "left") return; // a note to the counselor
      const own = message.client_id && outbox.find((item) => item.id === message.client_id);
      if (own) return acknowledge(own, message.sequence);
      if (message.author === "person" || (message.choices || []).length) view.dropChoices();
      if (message.author !== "person") {
        if (message.item in PRESENCE) counselor = PRESENCE[message.item];
        if (message.author === "counselor") counselor = true;
        view.counselor(counselor);
        if (message.last) answered = Math.max(answered, message.in_reply_to || 0);
        if (message.last || message.author === "counselor") view.typing(false);
      }
      const element = message.author === "person" ? handrail.drawOwn(message).element : handrail.drawMessage(message, on);
      place(message, element, quiet, before);
      if (!quiet) remember(message);
    }

    function remember(message) {
      if (over) return;
      session.messages = [...session.messages, message].slice(-KEPT_MESSAGES);
      save();
    }

    function acknowledge(item, sequence) {
      outbox = outbox.filter((other) => other !== item);
      item.drawn.show(item === lastOwn ? "sent" : "");
      const message = { author: "person", text: item.label, sequence: sequence == null ? null : sequence, client_id: item.id };
      if (isShown(message)) return;
      if (sequence == null) unplaced.push([message, item.drawn.element]);
      else drawn.set(sequence, item.drawn.element);
      remember(message);
    }

    // Being cut off
    function down() {
      if (!outage) {
        said.remove(); // however often the network comes and goes, only the latest word on it stays
        outage = said = notice("offline");
        builtin.remove();
        builtin = view.card();
        view.add(outage, { urgent: true });
        view.add(builtin, { urgent: true });
      }
      for (const item of outbox) if (!item.asking && !item.failed) item.drawn.show("waiting");
      clearTimeout(retryTimer);
      retryTimer = setTimeout(work, api.backoff(attempt++));
    }

    function up() {
      attempt = 0;
      if (!outage) return;
      outage.dataset.say = "back_online";
      outage.textContent = words.label("back_online");
      view.announce(words.label("back_online"));
      outage = null;
    }

    // Sending
    function queue(item) {
      if (over) renew(outbox);
      view.dropChoices();
      if (lastOwn && !outbox.includes(lastOwn)) lastOwn.drawn.show("");
      enqueue(item);
      save();
      work();
    }

    function enqueue(item, quiet) {
      item.drawn = handrail.drawOwn({ text: item.label });
      item.drawn.show(outage ? "waiting" : "sending");
      lastOwn = item;
      outbox.push(item);
      view.add(item.drawn.element, { own: true, quiet });
      if (item.failed) fail(item, true);
    }

    function choose(choice) {
      queue({ id: api.uuid(), choice: choice.id, label: choice.label, at: Date.now() });
    }

    function ask(item) {
      item.asking = true;
      item.drawn.show("ask_send", [
        ["send_now", () => release(item)],
        ["discard", () => {
          outbox = outbox.filter((other) => other !== item);
          item.drawn.element.remove();
          save();
        }],
      ]);
      view.announce(words.label("ask_send"));
    }

    function release(item) {
      item.asking = item.failed = false;
      item.at = Date.now();
      item.drawn.show("sending");
      if (over) renew(outbox);
      work();
    }

    function fail(item, retry) {
      item.failed = true;
      save();
      view.announce(words.label("failed"));
      view.typing(false);
      item.drawn.show("failed", retry ? [["retry", () => release(item)]] : []);
    }

    /** Open a conversation if there is none; throws Unreachable. */
    async function begin() {
      const here = round;
      const { status, data } = await api.request("POST", "/api/conversations", { body: { language: words.language } });
      if (here !== round) return;
      const before = outbox.length ? outbox[0].drawn.element : null; // the desk's first words, come after the person's
      (data.replies || []).forEach((message) => accept(message, { before }));
      if (status !== 201) throw new api.Unreachable("refused " + status);
      session.token = data.token;
      save();
      up();
    }

    async function deliver(item) {
      const here = round;
      const body = item.choice ? { id: item.id, choice: item.choice } : { id: item.id, text: item.text };
      const { status, data } = await api.request("POST", "/api/messages", { token: session.token, body });
      const replies = data.replies || [];
      const erasure = replies.find((message) => /^system\/erased/.test(message.item));
      if (erasure) return erased(erasure);
      if (here !== round) return;
      up();
      if (stream) stream.nudge(false);
      if (status === 202 || data.sequence != null) {
        session.begun = true;
        acknowledge(item, data.sequence);
        const waits = !replies.length && answered < data.sequence;
        view.typing(waits && !counselor);
        clearTimeout(answerTimer);
        if (waits) answerTimer = setTimeout(() => answered < data.sequence && catchUp(0), ANSWER_MS);
        if (status === 401) end(); // a crisis message is taken even when the token has run out
      } else {
        if (status === 401) end();
        if (status === 413 || status === 422) view.draft(item.text || "");
        fail(item, status !== 413 && status !== 422);
      }
      replies.forEach((message) => accept(message));
      save();
      listen();
    }

    /** Do what is outstanding, in order; come back later when the desk cannot be reached. */
    async function work() {
      if (busy === round) return;
      const here = (busy = round);
      try {
        if (!session.token && !over) await begin();
        else if (outage) await readRecord(); // nothing else would notice that the desk is back
        for (;;) {
          const item = outbox.find((other) => !other.asking && !other.failed);
          if (!item || here !== round) break;
          if (Date.now() - item.at > handrail.ASK_BEFORE_SENDING_AFTER_MS) {
            ask(item);
            continue;
          }
          if (!session.token) {
            fail(item, true);
            continue;
          }
          item.drawn.show("sending");
          await deliver(item);
        }
      } catch (error) {
        if (!(error instanceof api.Unreachable)) throw error;
        if (here === round) down();
      } finally {
        if (busy === here) busy = null;
      }
    }

    // Hearing
    function listen() {
      if (stream || !session.token || !session.begun) return;
      stream = handrail.openStream(session.token, session.last, {
        onEvent({ event, data }, lastId) {
          if (event === "typing") return view.typing(true);
          if (event === "counselor_typing") return view.typing(Boolean(standing.counselor), standing.counselor);
          if (event === "standing") return view.standing((standing = JSON.parse(data)));
          if (event === "erased") return over || erased();
          if (event !== "message") return;
          session.last = lastId;
          accept(JSON.parse(data));
          save();
        },
        onUp() {
          up();
          work();
        },
        onDown: catchUp,
        onRefused: end,
      });
    }

    async function readRecord() {
      const here = round;
      const { data } = await api.request("GET", "/api/me", { token: session.token });
      if (here !== round) return;
      const messages = data.messages || [];
      messages.forEach((message) => accept(message));
      if (messages.length) session.begun = true; // the desk has the first message, though its answer was lost
      save();
      up();
      listen();
    }

    /** The stream does not work: read the record instead, for a proxy may refuse streams and nothing else. */
    async function catchUp(failures) {
      const here = round;
      try {
        await readRecord();
      } catch (error) {
        if (here === round && failures > 0) down(); // one failure is what a desk starting again looks like
      }
    }

    function silence() {
      if (stream) stream.close();
      stream = null;
    }

    /** The conversation was erased: nothing of it stays here but the desk's word for it. */
    function erased(reply) {
      renew();
      over = true;
      if (reply) accept({ ...reply, choices: [] });
      else view.add(notice("ended"));
      forget();
    }

    /** The desk no longer knows this conversation: say so, and offer a new one. */
    function end() {
      if (over) return;
      over = true;
      silence();
      session = fresh(session);
      save();
      view.typing(false);
      view.dropChoices();
      view.add(notice("ended"));
    }

    /** Stop, and take everything off the screen. */
    function clear() {
      round += 1;
      silence();
      clearTimeout(retryTimer);
      clearTimeout(answerTimer);
      drawn = new Map();
      unplaced = [];
      outbox = [];
      outage = lastOwn = null;
      over = counselor = false;
      standing = {};
      answered = 0;
      view.clear();
      view.counselor(false);
    }

    /** Forget this conversation on this device and show an empty one; `carried` messages are sent there. */
    function renew(carried = []) {
      clear();
      session = fresh(session);
      outbox = carried;
      save();
      for (const item of carried) {
        lastOwn = item;
        view.add(item.drawn.element, { own: true });
      }
    }

    return {
      get session() {
        return session;
      },
      save,
      send: (text) => queue({ id: api.uuid(), text, label: text, at: Date.now() }),
      choose,
      cancelRequest: () => choose({ id: "effect:cancel_request", label: words.label("cancel_request") }),
      /** The person is writing: a counselor who is here sees that, and no word of it. */
      typing() {
        if (!standing.counselor || !session.token || Date.now() - typedAt < TYPING_EVERY_MS) return;
        typedAt = Date.now();
        api.request("POST", "/api/typing", { token: session.token }).catch(() => {});
      },
      /** Bring back what this tab remembers; whether there was anything. */
      restore() {
        const kept = recall();
        session = { ...fresh(), ...kept };
        session.messages.forEach((message) => accept(message, { quiet: true }));
        session.unsent.forEach((item) => enqueue(item, true));
        return kept !== null;
      },
      /** The page goes into the browser's cache of pages: nothing may show from there that is no longer so. */
      pause: clear,
      /** Connect: the person has opened the widget, now or before a reload. */
      start() {
        save();
        if (session.token) listen();
        work();
      },
      /** The network or the tab is back. */
      nudge({ changed }) {
        attempt = 0;
        if (stream) stream.nudge(changed);
        if (outage) work();
      },
      /** The browser says the network is gone. */
      lost: down,
      startOver() {
        renew();
        work();
      },
      async erase() {
        try {
          const { status, data } = session.token
            ? await api.request("DELETE", "/api/me", { token: session.token })
            : { status: 200, data: {} };
          if (status >= 300 && status !== 401) throw new api.Unreachable("refused " + status);
          erased((data.replies || [])[0]);
        } catch (error) {
          view.add(notice("erase_failed"));
        }
      },
      /** Stop everything, leave nothing in this tab, and say so to a counselor who is there. */
      wipe() {
        if (session.begun) api.tell("/api/left", session.token);
        clear();
        session = fresh();
        forget();
      },
    };
  };
})(window.HANDRAIL);
