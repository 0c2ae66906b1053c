// The look: calm, warm, large. A constructable stylesheet, so no CSP rule for inline styles is needed.
(function (handrail) {
  "use strict";

  const CSS = `
:host { all: initial !important; }
.root {
  --paper: #fbf7f0; --raised: #ffffff; --ink: #2b2620; --quiet: #665d52; --line: #d9cfc0; --edge: #8a7d6c;
  --accent: var(--handrail-accent, #1d5c57); --on-accent: var(--handrail-on-accent, #ffffff);
  --bot: #f1e9dc; --counselor: #e3ebf7; --counselor-line: #3a5f96;
  --card: #fff6e3; --card-line: #a8540a; --focus: #0b57c9;
  --size: calc(var(--handrail-text-size, 1.125) * var(--step, 1));
  color-scheme: light;
}
.dark {
  --paper: #1b1917; --raised: #262320; --ink: #f4eee5; --quiet: #b9aea0; --line: #423c35; --edge: #93887a;
  --accent: var(--handrail-accent-dark, #8fd3c9); --on-accent: var(--handrail-on-accent-dark, #10211f);
  --bot: #2c2824; --counselor: #22304a; --counselor-line: #93b4e8;
  --card: #33270f; --card-line: #f0b15c; --focus: #9cc3ff;
  color-scheme: dark;
}
.contrast {
  --paper: #fff; --raised: #fff; --ink: #000; --accent: #00403b; --on-accent: #fff; --focus: #0033b3; --card-line: #7a3500;
  --quiet: var(--ink); --line: var(--ink); --edge: var(--ink); --bot: var(--paper); --counselor: var(--paper); --card: var(--paper);
}
.contrast.dark { --paper: #000; --raised: #000; --ink: #fff; --accent: #a9fff2; --on-accent: #000; --focus: #ffe45c; --card-line: #ffc77d; }
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.root {
  font: medium/1.5 var(--handrail-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif);
  color: var(--ink); -webkit-text-size-adjust: 100%; text-align: start; overflow-wrap: anywhere;
}
.scale { font-size: calc(1em * var(--size)); }
h2, p, ul, ol { margin: 0; }
a { color: var(--accent); text-underline-offset: 0.15em; }
button, textarea { font: inherit; color: inherit; letter-spacing: inherit; }
button {
  min-height: 2.7em; padding: 0.45em 0.9em; border: 1.5px solid var(--edge); border-radius: 0.7em;
  background: var(--raised); cursor: pointer; text-align: start; touch-action: manipulation;
}
button:hover { border-color: var(--accent); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
.sr { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.dock {
  position: fixed; z-index: 2147483000; inset-inline-end: 12px;
  inset-block-end: calc(max(12px, env(safe-area-inset-bottom)) + var(--handrail-lift, 0px));
  display: flex; flex-direction: column; align-items: flex-end; gap: 0.5em; max-width: calc(100vw - 24px);
}
.left .dock { inset-inline: 12px auto; align-items: flex-start; }
.left .dock .lines { justify-content: flex-start; }
.dock .main { border-radius: 2em; padding-inline: 1.3em; box-shadow: 0 2px 14px #0005; }
.lines { display: flex; flex-wrap: wrap; gap: 0.45em; padding: 0; margin: 0; list-style: none; }
.lines a {
  display: inline-flex; align-items: center; min-height: 2.5em; padding: 0.2em 0.85em; border-radius: 2em; font-weight: 600;
  background: var(--raised); border: 1.5px solid var(--accent); color: var(--accent); text-decoration: none;
}
.lines a:hover { text-decoration: underline; }
.dock .lines { font-size: 0.8em; gap: 0.35em; justify-content: flex-end; }
.dock .lines a { padding-inline: 0.4em; box-shadow: 0 2px 10px #0003; }

.panel {
  position: fixed; z-index: 2147483001; inset: auto; inset-block-end: 16px; inset-inline-end: 16px; margin: 0; padding: 0;
  width: min(24em, calc(100vw - 32px)); height: min(41em, calc(100vh - 32px)); max-width: none; max-height: none;
  border: 1px solid var(--line); border-radius: 1em; background: var(--paper); color: var(--ink);
  box-shadow: 0 10px 40px #0005; overflow: hidden;
}
.panel[open] { display: flex; flex-direction: column; }
.panel:not([open]) { display: none !important; }
.top, .composer button { font-size: calc(1em * min(1, 1.3 / var(--size))); }
.left .panel { inset-inline: 16px auto; }
.panel::backdrop { background: var(--paper); }
.full .panel {
  inset: 0; top: var(--top, 0); width: 100%; height: var(--height, 100vh); border: 0; border-radius: 0; box-shadow: none;
}
.head { display: flex; flex-wrap: wrap; align-items: center; gap: 0 0.3em; padding: 0.5em 0.6em 0.3em 1em; }
.head h2 { flex: 1 1 0; min-width: min-content; font-size: 1em; font-weight: 650; line-height: 1.2; overflow-wrap: normal; }
.head p { flex: 1 0 100%; font-size: 0.77em; line-height: 1.3; color: var(--quiet); }
.head button { min-height: 2.5em; padding: 0.2em 0.8em; white-space: nowrap; }
.head .icon { border-color: transparent; background: none; min-width: 2.5em; padding: 0; text-align: center; }
.head .icon:hover, .head [aria-expanded="true"] { border-color: var(--edge); }
.bar { padding: 0.35em 1em 0.65em; border-block-end: 1px solid var(--line); background: var(--paper); }
.bar p { font-size: 0.8em; line-height: 1.3; font-weight: 600; margin-block-end: 0.35em; }
.bar .lines { font-size: 0.82em; gap: 0.4em; overflow-wrap: break-word; }
.bar .lines li { flex: 1 0 auto; max-width: 100%; }
.bar .lines a { min-height: 2.7em; width: 100%; padding-inline: 0.25em; justify-content: center; text-align: center; line-height: 1.2; }
.menu { padding: 0.9em 1em; border-block-end: 1px solid var(--line); background: var(--raised); overflow: auto; max-height: 65%; }
.row { display: flex; flex-wrap: wrap; gap: 0.5em; align-items: center; margin-block-end: 0.7em; }
.menu p, .menu button { font-size: 0.9em; }
.menu [aria-pressed="true"] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); font-weight: 600; }

.standing { display: flex; flex-wrap: wrap; gap: 0.3em 0.8em; align-items: center; padding: 0.45em 1em; border-block-end: 1px solid var(--line); background: var(--counselor); font-size: 0.88em; }
.standing span { flex: 1 1 12em; }
.log { flex: 1 1 6em; min-height: 0; overflow: auto; overscroll-behavior: contain; padding: 1em; display: flex; flex-direction: column; gap: 0.55em; outline-offset: -4px; }
.notice { font-size: 0.86em; color: var(--quiet); border: 1px dashed var(--edge); border-radius: 0.7em; padding: 0.5em 0.8em; }
.message { position: relative; max-width: 94%; align-self: flex-start; }
.author { font-size: 0.78em; color: var(--quiet); margin-block: 0.3em 0.15em; }
.person .author, .bot + .bot:not(.card) .author, .counselor + .counselor .author {
  position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%);
}
.body { background: var(--bot); border-radius: 0.35em 1.1em 1.1em 1.1em; padding: 0.7em 1em; }
.body > * + * { margin-block-start: 0.6em; }
.body ul, .body ol { padding-inline-start: 1.3em; }
.body li + li { margin-block-start: 0.3em; }
.person { align-self: flex-end; max-width: 86%; text-align: end; }
.person .body { background: var(--accent); color: var(--on-accent); border-radius: 1.1em 0.35em 1.1em 1.1em; text-align: start; white-space: pre-wrap; }
.person.unsent .body { background: none; color: inherit; box-shadow: inset 0 0 0 2px var(--accent); }
.contrast .body { border: 1.5px solid; }
.counselor .body { background: var(--counselor); border-inline-start: 4px solid var(--counselor-line); white-space: pre-wrap; }
.counselor .author { color: var(--counselor-line); font-weight: 600; }
.card { align-self: stretch; max-width: none; }
.card .body { background: var(--card); border: 2px solid var(--card-line); border-radius: 0.9em; padding: 0.9em 1em; }
.card a[href^="tel:"], .card a[href^="sms:"] { font-weight: 700; display: inline-block; padding-block: 0.15em; }
.card a { color: inherit; text-decoration-color: var(--card-line); text-decoration-thickness: 2px; }
.state { font-size: 0.8em; color: var(--quiet); }
.state:empty { display: none; }
.actions, .choices { display: flex; flex-wrap: wrap; gap: 0.5em; margin-block-start: 0.6em; }
.person .actions { justify-content: flex-end; }
.choices button { border-color: var(--accent); color: var(--accent); font-weight: 550; }
.timer { display: flex; align-items: center; gap: 0.8em; margin-block-start: 0.6em; flex-wrap: wrap; }
.timer .track { flex: 1 1 8em; height: 0.5em; border-radius: 1em; background: var(--line); overflow: hidden; }
.timer .track i { display: block; height: 100%; width: 100%; background: var(--accent); transform-origin: 0 50%; transition: transform 1s linear; }
[dir="rtl"] .timer .track i { transform-origin: 100% 50%; }
.typing { display: flex; align-items: center; gap: 0.5em; padding: 0 1.1em 0.6em; color: var(--quiet); font-size: 0.85em; }
.typing i { width: 0.45em; height: 0.45em; border-radius: 50%; background: currentColor; animation: rest 1.8s infinite ease-in-out; }
.typing i:nth-of-type(2) { animation-delay: 0.3s; }
.typing i:nth-of-type(3) { animation-delay: 0.6s; }
@keyframes rest { 0%, 100% { opacity: 0.3; } 40% { opacity: 1; } }
.jump { align-self: center; margin-block: 0.4em; border-radius: 2em; min-height: 2.3em; padding-block: 0.2em; font-size: 0.9em; }
.composer { display: flex; gap: 0.5em; align-items: flex-end; padding: 0.6em 0.8em max(0.7em, env(safe-area-inset-bottom)); border-block-start: 1px solid var(--line); background: var(--raised); }
.composer textarea {
  flex: 1; min-width: 0; min-height: 2.9em; max-height: 8.5em; padding: 0.65em 0.8em; resize: none; display: block;
  border: 1.5px solid var(--edge); border-radius: 0.8em; background: var(--paper); font-size: max(1em, 16px); line-height: 1.4;
}
.composer textarea:focus-visible { outline: 3px solid var(--accent); outline-offset: -1px; border-color: transparent; }
.composer textarea::placeholder { color: var(--quiet); opacity: 1; }
.composer button { min-height: 2.9em; padding-inline: 1.1em; }

/* Little height (a phone with its keyboard up): the two lines of explanation go. */
.short .bar p, .short .head p { display: none; }
.short .head { padding-block: 0.2em 0; }
.short .bar { padding-block-end: 0.4em; }
/* Very little (zoomed to 400 %): everything scrolls under the buttons and the hotline bar. */
.tiny .panel[open] { display: block; overflow: auto; }
.tiny .top { position: sticky; top: 0; z-index: 1; background: var(--paper); font-size: 0.78em; }
.tiny .head h2 { font-size: 0.9em; }
.tiny .lines a { min-height: 2.2em; }
.tiny .log { overflow: visible; min-height: 6em; }
.tiny .menu { max-height: none; }
.tiny .jump { display: none; }

@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important; }
}
@media (forced-colors: active) {
  .body, .lines a, button { border: 1px solid; }
}
@media print { .root { display: none; } }
`;

  /** Put the style into a shadow root. */
  handrail.addStyle = function (root) {
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(CSS);
      root.adoptedStyleSheets = [sheet];
    } catch (error) {
      root.append(handrail.dom.make("style", {}, CSS)); // browsers from before 2023; needs a CSP without a style rule
    }
  };
})(window.HANDRAIL);
