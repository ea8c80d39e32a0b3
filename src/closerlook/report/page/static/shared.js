// Shared by several views: loading, storage, the theme, the bar of a response's classes, dialogs, keys.
"use strict";
{
  const { html, useEffect, useRef, useState } = htmPreact;

  // The state of the promise that `load()` returns: { value }, { error }, or {} while it is pending. `load` is called again when `key` changes.
  closerlook.usePromised = (key, load) => {
    const [state, set] = useState({});
    useEffect(() => {
      let live = true;
      const settle = (result) => live && set({ key, ...result });
      load().then(
        (value) => settle({ value }),
        (error) => settle({ error }),
      );
      return () => (live = false);
    }, [key]);
    return state.key === key ? state : {};
  };

  closerlook.Waiting = ({ error }) =>
    error
      ? html`<p class="note problem" role="alert">${error.message}</p>`
      : html`<p class="note" role="status">Opening …</p>`;

  const unsaved = new Map(); // values that the browser's storage did not accept; they last until the page is closed

  // The browser's storage, which may be disabled or full.
  closerlook.stored = (key) => {
    if (unsaved.has(key)) return unsaved.get(key);
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
      return null; // not JSON
    }
  };
  closerlook.store = (key, value) => {
    try {
      localStorage.setItem(`closerlook/${key}`, value);
      unsaved.delete(key);
      return true;
    } catch {
      unsaved.set(key, value);
      return false;
    }
  };

  const THEMES = { auto: "Colors: system", light: "Colors: light", dark: "Colors: dark" };

  closerlook.ThemeSwitch = () => {
    const [theme, set] = useState(closerlook.stored("theme") in THEMES ? closerlook.stored("theme") : "auto");
    useEffect(() => {
      document.documentElement.dataset.theme = theme;
    }, [theme]);
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

  // The share of each class among a response's tokens, as a bar and in words.
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

  // Downloads a text as a file.
  closerlook.save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name.replace(/[^\p{L}\p{N}._-]/gu, "_");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  // A dialog over the page; Esc and its button close it.
  closerlook.Dialog = ({ title, onClose, children }) => {
    const dialog = useRef(null);
    useEffect(() => dialog.current.showModal(), []);
    return html`<dialog ref=${dialog} onClose=${onClose} aria-label=${title}>
      <h2>${title}</h2>
      ${children}
      <button onClick=${() => dialog.current.close()}>Close</button>
    </dialog>`;
  };

  // Whether a key press is for the focused element, not for the view.
  const isForElement = (event) =>
    event.ctrlKey || event.metaKey || event.altKey || Boolean(event.target.closest("input, select, textarea, dialog"));

  // Calls handlers[key] on a key press that is not for a field. The handlers are those of the last rendering.
  closerlook.useKeys = (handlers) => {
    const latest = useRef(handlers);
    latest.current = handlers;
    useEffect(() => {
      const onPress = (event) => {
        if (event.defaultPrevented || isForElement(event) || !(event.key in latest.current)) return;
        event.preventDefault();
        latest.current[event.key]();
      };
      addEventListener("keydown", onPress);
      return () => removeEventListener("keydown", onPress);
    }, []);
  };
}
