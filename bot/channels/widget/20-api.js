// Requests to the desk. Nothing is sent before the person opens the widget, and never to anyone but the desk.
(function (handrail) {
  "use strict";

  /** The desk gave no answer a person could use: network, timeout, or a proxy's error page. */
  class Unreachable extends Error {}

  /** Send one request; resolve to {status, data} for every JSON answer of the desk, refusals included. */
  async function request(method, path, { token, body } = {}) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), handrail.REQUEST_TIMEOUT_MS);
    const headers = { Accept: "application/json" };
    if (token) headers.Authorization = "Bearer " + token;
    if (body) headers["Content-Type"] = "application/json";
    try {
      const response = await fetch(handrail.desk + path, {
        method,
        headers,
        body: body && JSON.stringify(body),
        signal: controller.signal,
        credentials: "omit",
        cache: "no-store",
        referrerPolicy: "no-referrer",
      });
      const data = await response.json();
      if (response.status > 499 && !data.replies) throw new Error("a proxy's");
      return { status: response.status, data };
    } catch (error) {
      throw new Unreachable(String(error && error.name));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Say something without waiting for an answer, on the way out: no preflight, and it outlives the page. */
  function tell(path, body) {
    try {
      fetch(handrail.desk + path, { method: "POST", mode: "no-cors", keepalive: true, credentials: "omit", referrerPolicy: "no-referrer", body }).catch(() => {});
    } catch (error) {
      // leaving matters more
    }
  }

  /** Milliseconds to wait before attempt n: doubling from 1 s to 15 s, half of it random so clients spread out. */
  function backoff(attempt) {
    const ceiling = Math.min(15000, 1000 * 2 ** attempt);
    return ceiling / 2 + (Math.random() * ceiling) / 2;
  }

  /** A random id for a message, also where randomUUID is missing (plain http). */
  function uuid() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  handrail.api = { request, tell, backoff, uuid, Unreachable };
})(window.HANDRAIL);
