// What several views use: waiting for files, the theme, the bar of a response's classes, dialogs.
"use strict";
{
  const { html, useEffect, useRef, useState } = htmPreact;

  // What `ask()` promises, asked again when `key` changes: { value } once it is there, { error } if it fails, {} before.
  closerlook.usePromised = (key, ask) => {
    const [state, set] = useState({});
    useEffect(() => {
      let live = true;
      const done = (found) => live && set({ key, ...found });
      ask().then(
        (value) => done({ value }),
        (error) => done({ error }),
      );
      return () => (live = false);
    }, [key]);
    return state.key === key ? state : {};
  };

  closerlook.Waiting = ({ error }) =>
    error
      ? html`<p class="note problem" role="alert">${error.message}</p>`
      : html`<p class="note" role="status">Opening …</p>`;

  const unkept = new Map(); // what the browser's storage would not take: it lasts as long as the page is open

  // The browser's storage, which may be switched off, or full.
  closerlook.stored = (key) => {
    if (unkept.has(key)) return unkept.get(key);
    try {
      return localStorage.getItem(`closerlook/${key}`);
    } catch {
      return null;
    }
  };
  closerlook.storedJson = (key) => {
    try {
      return JSON.parse(closerlook.stored(key) || "null");
    } catch {
      return null; // somebody else's, or cut
    }
  };
  closerlook.store = (key, value) => {
    try {
      localStorage.setItem(`closerlook/${key}`, value);
      unkept.delete(key);
      return true;
    } catch {
      unkept.set(key, value);
      return false;
    }
  };

  const THEMES = { auto: "Colors: system", light: "Colors: light", dark: "Colors: dark" };

  closerlook.useTheme = (theme) =>
    useEffect(() => {
      document.documentElement.dataset.theme = theme;
    }, [theme]);

  closerlook.ThemeSwitch = () => {
    const [theme, set] = useState(closerlook.stored("theme") in THEMES ? closerlook.stored("theme") : "auto");
    closerlook.useTheme(theme);
    const change = (event) => {
      closerlook.store("theme", event.target.value);
      set(event.target.value);
    };
    return html`<label class="theme"
      ><span class="hidden">Colors</span>
      <select id="theme" value=${theme} onChange=${change}>
        ${Object.entries(THEMES).map(([name, label]) => html`<option value=${name}>${label}</option>`)}
      </select></label
    >`;
  };

  // How a response's tokens divide, as a bar with words for those who cannot see it.
  closerlook.ShareBar = ({ shares }) => {
    if (!shares) return null;
    const words = closerlook.facts.classes.map((name, i) => `${closerlook.percent(shares[i])} ${name}`).join(", ");
    return html`<div class="shares">
      <div class="bar" role="img" aria-label=${words}>
        ${shares.map((share, i) => html`<i class=${closerlook.facts.classes[i]} style=${{ width: `${100 * share}%` }}></i>`)}
      </div>
      <span class="small" aria-hidden="true">${words}</span>
    </div>`;
  };

  // Downloads a text as a file of that name.
  closerlook.save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name.replace(/[^\p{L}\p{N}._-]/gu, "_");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  // A dialog over the page; Esc closes it, as does its button.
  closerlook.Dialog = ({ title, onClose, children }) => {
    const dialog = useRef(null);
    useEffect(() => dialog.current.showModal(), []);
    return html`<dialog ref=${dialog} onClose=${onClose} aria-label=${title}>
      <h2>${title}</h2>
      ${children}
      <button onClick=${() => dialog.current.close()}>Close</button>
    </dialog>`;
  };

  // Whether a key is meant for what has the focus, not for the view.
  closerlook.typing = (event) =>
    event.ctrlKey || event.metaKey || event.altKey || Boolean(event.target.closest("input, select, textarea, dialog"));
  // Calls handlers[key] on a key press that is not meant for a field; the handlers are those of the last rendering.
  closerlook.useKeys = (handlers) => {
    const latest = useRef(handlers);
    latest.current = handlers;
    useEffect(() => {
      const pressed = (event) => {
        if (event.defaultPrevented || closerlook.typing(event) || !(event.key in latest.current)) return;
        event.preventDefault();
        latest.current[event.key]();
      };
      addEventListener("keydown", pressed);
      return () => removeEventListener("keydown", pressed);
    }, []);
  };
}
