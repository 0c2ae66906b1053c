// Building the page: elements whose words follow the language, and HTML from the desk through an allow-list.
(function (handrail) {
  "use strict";

  const ALLOWED = new Set(["P", "BR", "STRONG", "B", "EM", "I", "UL", "OL", "LI", "A"]);
  const DROPPED = new Set(["SCRIPT", "STYLE", "TEMPLATE", "IFRAME", "OBJECT", "EMBED", "SVG", "MATH", "NOSCRIPT"]);
  const SAFE_LINK = /^(https?:\/\/|tel:|sms:)/i;

  /**
   * Make an element. Properties starting with "on" are listeners; `say` and `sayLabel` are label keys for its text
   * and its accessible name, kept so that `relabel` can change the language; the rest are attributes.
   */
  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "say") element.dataset.say = value;
      else if (name === "sayLabel") element.dataset.sayLabel = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    if (properties && (properties.say || properties.sayLabel)) word(element);
    return element;
  }

  function word(element) {
    const { say, sayLabel } = element.dataset;
    if (say) element.textContent = handrail.words.label(say);
    if (sayLabel) element.setAttribute("aria-label", handrail.words.label(sayLabel));
  }

  /** Put every worded element under `root` into the present language. */
  function relabel(root) {
    root.querySelectorAll("[data-say], [data-say-label]").forEach(word);
  }

  function link(href, ...children) {
    const outside = /^http/i.test(href);
    return make("a", { href, target: outside && "_blank", rel: outside && "noopener noreferrer" }, ...children);
  }

  function copyAllowed(from, to) {
    for (const node of from.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
      if (node.nodeType !== Node.ELEMENT_NODE) continue;
      const tag = node.tagName.toUpperCase();
      if (DROPPED.has(tag)) continue;
      const href = tag === "A" ? node.getAttribute("href") || "" : "";
      const known = ALLOWED.has(tag) && (tag !== "A" || SAFE_LINK.test(href));
      const copy = !known ? to : tag === "A" ? link(href) : make(tag);
      copyAllowed(node, copy);
      if (known) to.append(copy);
    }
  }

  /** A fragment with the allowed parts of `html`; the plain text where there is no HTML or it cannot be parsed. */
  function rich(html, text) {
    const fragment = document.createDocumentFragment();
    try {
      if (html) copyAllowed(new DOMParser().parseFromString(html, "text/html").body, fragment);
    } catch (error) {
      fragment.replaceChildren(); // the host page forbids parsing (Trusted Types)
    }
    if (!fragment.childNodes.length) {
      for (const paragraph of (text || "").split(/\n{2,}/)) fragment.append(make("p", {}, paragraph));
    }
    return fragment;
  }

  handrail.dom = { make, link, rich, relabel };
})(window.HANDRAIL);
