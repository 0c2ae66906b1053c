// The stream of messages: server-sent events read with fetch, because EventSource cannot send the bearer token.
(function (handrail) {
  "use strict";

  /** Call `onEvent({event, id, data})` for each complete event in text fed piece by piece. */
  function parser(onEvent) {
    let rest = "";
    let event = {};
    return (text) => {
      rest += text;
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (event.data !== undefined) onEvent({ event: "message", ...event });
          event = {};
          continue;
        }
        const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
        if (field === "data" && event.data !== undefined) event.data += "\n" + value;
        else if (field) event[field] = value;
      }
    };
  }

  /**
   * Follow the conversation's events until `close()`, reconnecting with backoff after the last event seen.
   * `listener`: onEvent, onUp (connected), onDown(failures before), onRefused (the token is not accepted).
   */
  function openStream(token, lastId, listener) {
    let closed = false;
    let attempt = 0;
    let controller = null;
    let wake = () => {};
    let heardAt = 0;

    async function connect() {
      controller = new AbortController();
      const abort = () => controller.abort();
      let watchdog = setTimeout(abort, handrail.REQUEST_TIMEOUT_MS);
      try {
        const response = await fetch(handrail.desk + "/api/events", {
          headers: { Accept: "text/event-stream", Authorization: "Bearer " + token, "Last-Event-ID": String(lastId) },
          signal: controller.signal,
          credentials: "omit",
          cache: "no-store",
          referrerPolicy: "no-referrer",
        });
        if (response.status === 401 || response.status === 403) return "refused";
        if (!response.ok) return "failed";
        let spoken = false; // its head alone says little: a proxy may hold the rest back
        const reader = response.body.getReader();
        const decoder = new TextDecoder();
        const feed = parser((event) => {
          if (closed) return;
          if (event.id) lastId = event.id;
          listener.onEvent(event, lastId);
        });
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return spoken ? "ended" : "failed";
          heardAt = Date.now();
          clearTimeout(watchdog);
          watchdog = setTimeout(abort, handrail.SILENCE_TIMEOUT_MS);
          if (!spoken && !closed) listener.onUp();
          spoken = true;
          attempt = 0;
          feed(decoder.decode(value, { stream: true }));
        }
      } catch (error) {
        return "failed";
      } finally {
        clearTimeout(watchdog);
      }
    }

    async function run() {
      while (!closed) {
        const outcome = await connect();
        if (closed) return;
        if (outcome === "refused") return listener.onRefused();
        if (outcome === "failed") listener.onDown(attempt);
        await new Promise((resolve) => {
          wake = resolve;
          setTimeout(resolve, handrail.api.backoff(attempt++));
        });
      }
    }

    run();
    return {
      /** Try again now: the network `changed`, or the tab has just come back, perhaps with a connection gone dead. */
      nudge(changed) {
        attempt = 0;
        if (changed || Date.now() - heardAt > handrail.SILENCE_TIMEOUT_MS / 2) controller.abort();
        wake();
      },
      close() {
        closed = true;
        if (controller) controller.abort();
        wake();
      },
    };
  }

  handrail.openStream = openStream;
})(window.HANDRAIL);
