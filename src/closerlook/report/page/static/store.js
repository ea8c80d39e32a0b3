// Loads the data files. Each is a script that calls closerlook.put with its name and packed content (closerlook.report.page.pack).
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

  closerlook.put = (name, length, packed) => {
    const entry = file(name);
    entry.arrived = true;
    unpack(length, packed).then(entry.resolve, (error) => entry.reject(damaged(name, error.message)));
  };

  const damaged = (name, reason) => new Error(`data/${name}.js cannot be read: ${reason}. Build the page again.`);

  // The content of data/<name>.js, which is loaded on first use.
  closerlook.load = (name) => {
    const entry = file(name);
    if (!entry.requested) {
      entry.requested = true;
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onerror = () => entry.reject(new Error(`data/${name}.js is missing. Build the page again.`));
      // a truncated script is a syntax error: it loads, but does not call closerlook.put
      script.onload = () => entry.arrived || entry.reject(damaged(name, "it is truncated or damaged"));
      document.head.append(script);
    }
    return entry.promise;
  };

  const FIRST = 0x3400; // the character for fifteen zeros

  // The bytes of a text that has fifteen bits per character.
  function bytesOf(length, text) {
    const bytes = new Uint8Array(length);
    let [next, buffer, bits] = [0, 0, 0];
    for (let i = 0; i < text.length; i++) {
      buffer = (buffer << 15) | (text.charCodeAt(i) - FIRST);
      for (bits += 15; bits >= 8; bits -= 8) bytes[next++] = buffer >> (bits - 8); // writes beyond the length are ignored
      buffer &= (1 << bits) - 1;
    }
    return bytes;
  }

  async function unpack(length, packed) {
    if (typeof DecompressionStream === "undefined")
      throw new Error("this browser is too old; the page needs Chrome or Edge 105, Firefox 121, Safari 16.4, or later");
    const stream = new Blob([bytesOf(length, packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const raw = new Uint8Array(await new Response(stream).arrayBuffer());
    let start = 4 + new DataView(raw.buffer).getUint32(0, true);
    const content = JSON.parse(new TextDecoder().decode(raw.subarray(4, start)));
    const columns = {};
    for (const [name, kind, length] of content.columns) {
      columns[name] = column(raw, start, kind, length);
      start += length * Number(kind[1]);
    }
    return { ...content, columns };
  }

  const KINDS = { i1: Int8Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array, i4: Int32Array };

  // Integers from the planes of all their lowest bytes, all second ones, and so on.
  function column(raw, start, kind, length) {
    const values = new KINDS[kind](length);
    for (let byte = 0; byte < values.BYTES_PER_ELEMENT; byte++)
      for (let i = 0; i < length; i++) values[i] |= raw[start + byte * length + i] << (8 * byte);
    return values;
  }
}
