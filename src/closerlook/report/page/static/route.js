// A view is its link: `#/inspect?evalset=...&cells=...`. Links are pushed, so that the back button works; typing replaces.
"use strict";
{
  const { useEffect, useState } = htmPreact;

  // `#/path?key=value` as { path, query }; what is no such link is the overview.
  closerlook.parse = (hash) => {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
    return { path: path || "overview", query: Object.fromEntries(new URLSearchParams(query)) };
  };

  // A link; empty values are left out. Slashes, commas and colons are spelled as they are, for people to read.
  closerlook.link = (path, query = {}) => {
    const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
    const spelled = (part) => encodeURIComponent(part).replace(/%(2F|2C|3A|40)/g, decodeURIComponent);
    const text = pairs.map((pair) => pair.map(spelled).join("="));
    return `#/${path}${text.length ? `?${text.join("&")}` : ""}`;
  };

  closerlook.go = (link, replace = false) => {
    if (replace) location.replace(link);
    else location.hash = link;
    dispatchEvent(new Event("hashchange")); // the browser's own comes later than the next of several quick keys
  };

  closerlook.useRoute = () => {
    const [hash, set] = useState(location.hash);
    useEffect(() => {
      const changed = () => set(location.hash);
      addEventListener("hashchange", changed);
      return () => removeEventListener("hashchange", changed);
    }, []);
    return closerlook.parse(hash);
  };
}
