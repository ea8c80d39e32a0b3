// The data files: each is a script that calls closerlook.put with its name and packed content (closerlook.report.page.pack has the format).
"use strict";
const closerlook = {};

{
  const files = new Map(); // name -> { promise, resolve, reject }

  function file(name) {
    if (!files.has(name)) {
      const entry = {};
      entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
      files.set(name, entry);
    }
    return files.get(name);
  }

  closerlook.put = (name, packed) => {
    const entry = file(name);
    entry.came = true;
    unpack(packed).then(entry.resolve, (error) => entry.reject(broken(name, error.message)));
  };

  const broken = (name, why) => new Error(`data/${name}.js cannot be read: ${why}. Make the page again.`);

  // The content of data/<name>.js, fetched when it is first asked for.
  closerlook.load = (name) => {
    const entry = file(name);
    if (!entry.asked) {
      entry.asked = true;
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onerror = () => entry.reject(new Error(`data/${name}.js is not there: make the page again`));
      // a script that is cut short is a syntax error: it has loaded, and nothing came
      script.onload = () => entry.came || entry.reject(broken(name, "it is damaged"));
      document.head.append(script);
    }
    return entry.promise;
  };

  async function unpack(packed) {
    if (typeof DecompressionStream === "undefined")
      throw new Error("this browser is too old: the page needs Chrome or Edge 80, Firefox 113, Safari 16.4, or later");
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const raw = new Uint8Array(await new Response(stream).arrayBuffer());
    const head = 4 + new DataView(raw.buffer).getUint32(0, true);
    const content = JSON.parse(new TextDecoder().decode(raw.subarray(4, head)));
    let start = head;
    const columns = {};
    for (const [name, kind, length] of content.columns) {
      columns[name] = column(raw, start, kind, length);
      start += length * Number(kind[1]);
    }
    return { ...content, columns };
  }

  const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array, i4: Int32Array };

  // The planes of all lowest bytes, all second ones, ... back to integers.
  function column(raw, start, kind, length) {
    const values = new KINDS[kind](length);
    for (let byte = 0; byte < values.BYTES_PER_ELEMENT; byte++)
      for (let i = 0; i < length; i++) values[i] |= raw[start + byte * length + i] << (8 * byte);
    return values;
  }
}
