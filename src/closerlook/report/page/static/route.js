// Links of views: `#/inspect?evalset=...&cells=...`. A link adds to the history, so that the back button works; typing replaces.
"use strict";
{
  const { useEffect, useState } = htmPreact;

  // `#/path?key=value` as { path, query }; an empty path is the overview.
  closerlook.parse = (hash) => {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
    return { path: path || "overview", query: Object.fromEntries(new URLSearchParams(query)) };
  };

  // A link. Empty values are left out; slashes, commas, colons and @ are not encoded, so that people can read it.
  closerlook.link = (path, query = {}) => {
    const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
    const encode = (part) => encodeURIComponent(part).replace(/%(2F|2C|3A|40)/g, decodeURIComponent);
    const text = pairs.map((pair) => pair.map(encode).join("="));
    return `#/${path}${text.length ? `?${text.join("&")}` : ""}`;
  };

  closerlook.go = (link, replace = false) => {
    if (replace) location.replace(link);
    else location.hash = link;
    dispatchEvent(new Event("hashchange")); // the browser's own event comes too late when keys are pressed quickly
  };

  closerlook.useRoute = () => {
    const [hash, set] = useState(location.hash);
    useEffect(() => {
      const update = () => set(location.hash);
      addEventListener("hashchange", update);
      return () => removeEventListener("hashchange", update);
    }, []);
    return closerlook.parse(hash);
  };
}
