// What annotators make: spans in code points, progress in the browser, the file that is exported and read again, blind order.
"use strict";
{
  closerlook.KINDS = ["not factual", "not useful"];
  const VERSION = 1;

  // The same numbers for the same text, in every browser: FNV-1a, then mulberry32.
  function random(text) {
    let state = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  // The items in an order that the seed alone decides (Fisher and Yates).
  closerlook.shuffled = (items, seed) => {
    const order = [...items];
    const draw = random(seed);
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(draw() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };

  const same = (a) => (b) => a.cell === b.cell && a.evalset === b.evalset && a.id === b.id;

  closerlook.emptyWork = (annotator, preset) => ({
    version: VERSION,
    annotator,
    preset,
    annotations: [],
    inspected: [],
  });

  // The work with one answer's spans replaced.
  closerlook.withMarks = (work, answer, marks) => ({
    ...work,
    annotations: [
      ...work.annotations.filter((one) => !same(answer)(one)),
      ...marks.map((mark) => ({ ...answer, ...mark })),
    ],
  });

  closerlook.marksOf = (work, answer) =>
    work.annotations
      .filter(same(answer))
      .map(({ start, end, kind, origin }) => ({ start, end, kind, origin }))
      .sort((a, b) => a.start - b.start || a.end - b.end);

  closerlook.withInspected = (work, answer, yes) => ({
    ...work,
    inspected: [...work.inspected.filter((one) => !same(answer)(one)), ...(yes ? [answer] : [])],
  });

  closerlook.isInspected = (work, answer) => work.inspected.some(same(answer));

  // Exactly what the human marker reads, in one order whatever was done first.
  closerlook.exported = (work) => {
    const key = (one) =>
      [one.evalset, one.cell, one.id, String(one.start ?? "").padStart(9), String(one.end ?? "").padStart(9)].join(
        "\n",
      );
    const order = (items) => [...items].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
    const annotations = order(work.annotations).map(({ cell, evalset, id, start, end, kind, origin }) => ({
      cell,
      evalset,
      id,
      start,
      end,
      kind,
      origin: origin ?? null,
    }));
    const inspected = order(work.inspected).map(({ cell, evalset, id }) => ({ cell, evalset, id }));
    return `${JSON.stringify({ version: VERSION, annotator: work.annotator, preset: work.preset, annotations, inspected }, null, 2)}\n`;
  };

  // The work with a file's put in: every answer that the file names is as the file has it, the others stay as they are.
  // Throws an Error that says what is wrong with the file.
  closerlook.imported = (work, text) => {
    const file = checked(text);
    for (const key of ["preset", "annotator"])
      if (file[key] !== work[key])
        throw new Error(`the file's ${key} is ${JSON.stringify(file[key])}, here it is ${JSON.stringify(work[key])}`);
    const named = [...file.annotations, ...file.inspected];
    const kept = (items) => items.filter((one) => !named.some(same(one)));
    return {
      ...work,
      annotations: [...kept(work.annotations), ...file.annotations],
      inspected: [...kept(work.inspected), ...file.inspected],
    };
  };

  function checked(text) {
    let file;
    try {
      file = JSON.parse(text);
    } catch {
      throw new Error("it is not JSON");
    }
    if (!file || file.version !== VERSION)
      throw new Error(`its version is ${JSON.stringify(file && file.version)}, expected ${VERSION}`);
    for (const key of ["annotations", "inspected"]) {
      if (!Array.isArray(file[key])) throw new Error(`it has no list of ${key}`);
      file[key].forEach((one, i) => {
        const wrong = !one || ["cell", "evalset", "id"].some((name) => typeof one[name] !== "string");
        if (wrong || (key === "annotations" && !span(one)))
          throw new Error(`${key}[${i}] is not as expected: ${JSON.stringify(one)}`);
      });
    }
    return file;
  }

  const span = ({ start, end, kind, origin }) =>
    Number.isInteger(start) &&
    Number.isInteger(end) &&
    0 <= start &&
    start < end &&
    closerlook.KINDS.includes(kind) &&
    (origin === null || origin === undefined || typeof origin === "string");

  // What is selected in an element that holds `text` and nothing else, without the white space around it: [start, end) in code
  // points; null where nothing is.
  closerlook.selectedPoints = (element, text) => {
    const selection = getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    if (!element.contains(range.startContainer) || !element.contains(range.endContainer)) return null;
    const before = document.createRange();
    before.selectNodeContents(element);
    before.setEnd(range.startContainer, range.startOffset);
    const start = before.toString().length;
    return closerlook.trimmedPoints(text, start, start + range.toString().length);
  };

  // [start, end) in UTF-16 units as code points: white space at the ends is left out, a half character is taken whole.
  closerlook.trimmedPoints = (text, start, end) => {
    const chosen = text.slice(start, end);
    const from = start + chosen.length - chosen.trimStart().length;
    const to = end - (chosen.length - chosen.trimEnd().length);
    if (from >= to) return null;
    const ruler = closerlook.ruler(text);
    return [ruler.point(from), ruler.point(to - 1) + 1];
  };
}
