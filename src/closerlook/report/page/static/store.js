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

  closerlook.put = (name, length, packed) => {
    const entry = file(name);
    entry.came = true;
    unpack(length, packed).then(entry.resolve, (error) => entry.reject(broken(name, error.message)));
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

  const FIRST = 0x3400; // stands for fifteen zeros

  // The bytes that `text` holds, fifteen bits a character.
  function bytesOf(length, text) {
    const bytes = new Uint8Array(length);
    let [at, held, bits] = [0, 0, 0];
    for (let i = 0; i < text.length; i++) {
      held = (held << 15) | (text.charCodeAt(i) - FIRST);
      for (bits += 15; bits >= 8; bits -= 8) bytes[at++] = held >> (bits - 8); // beyond the length there are zeros, which it drops
      held &= (1 << bits) - 1;
    }
    return bytes;
  }

  async function unpack(length, packed) {
    if (typeof DecompressionStream === "undefined")
      throw new Error("this browser is too old: the page needs Chrome or Edge 80, Firefox 113, Safari 16.4, or later");
    const stream = new Blob([bytesOf(length, packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
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
