// An annotator's work: spans in code points, inspected answers, export and import, and the blind order.
"use strict";
{
  closerlook.KINDS = ["not factual", "not useful"];
  const VERSION = 1;

  // Random numbers that depend on the text alone, in every browser: FNV-1a, then mulberry32.
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

  // The items in an order that depends on the seed alone (Fisher-Yates).
  closerlook.shuffled = (items, seed) => {
    const order = [...items];
    const draw = random(seed);
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(draw() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };

  const isSame = (a) => (b) => a.cell === b.cell && a.evalset === b.evalset && a.id === b.id;

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
      ...work.annotations.filter((entry) => !isSame(answer)(entry)),
      ...marks.map((mark) => ({ ...answer, ...mark })),
    ],
  });

  closerlook.marksOf = (work, answer) =>
    work.annotations
      .filter(isSame(answer))
      .map(({ start, end, kind, origin }) => ({ start, end, kind, origin }))
      .sort((a, b) => a.start - b.start || a.end - b.end);

  closerlook.withInspected = (work, answer, inspected) => ({
    ...work,
    inspected: [...work.inspected.filter((entry) => !isSame(answer)(entry)), ...(inspected ? [answer] : [])],
  });

  closerlook.isInspected = (work, answer) => work.inspected.some(isSame(answer));

  // The file that the human marker reads, in an order that does not depend on the order of work.
  closerlook.exported = (work) => {
    const padded = (offset) => String(offset ?? "").padStart(9);
    const key = ({ evalset, cell, id, start, end }) => [evalset, cell, id, padded(start), padded(end)].join("\n");
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

  // The work, in which the file's answers replace those of the same cell and instruction.
  // Throws an Error that says what is wrong with the file.
  closerlook.imported = (work, text) => {
    const file = parseWork(text);
    for (const key of ["preset", "annotator"])
      if (file[key] !== work[key])
        throw new Error(`the file's ${key} is ${JSON.stringify(file[key])}, here it is ${JSON.stringify(work[key])}`);
    const named = [...file.annotations, ...file.inspected];
    const others = (items) => items.filter((entry) => !named.some(isSame(entry)));
    return {
      ...work,
      annotations: [...others(work.annotations), ...file.annotations],
      inspected: [...others(work.inspected), ...file.inspected],
    };
  };

  function parseWork(text) {
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
      file[key].forEach((entry, i) => {
        const wrong = !entry || ["cell", "evalset", "id"].some((name) => typeof entry[name] !== "string");
        if (wrong || (key === "annotations" && !isSpan(entry)))
          throw new Error(`${key}[${i}] is not as expected: ${JSON.stringify(entry)}`);
      });
    }
    return file;
  }

  const isSpan = ({ start, end, kind, origin }) =>
    Number.isInteger(start) &&
    Number.isInteger(end) &&
    0 <= start &&
    start < end &&
    closerlook.KINDS.includes(kind) &&
    (origin === null || origin === undefined || typeof origin === "string");

  // The selection in an element that contains `text` alone, without white space at its ends: [start, end) in code points, or null.
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

  // [start, end) from UTF-16 units to code points, without white space at the ends; half a character becomes a whole one.
  closerlook.trimmedPoints = (text, start, end) => {
    const chosen = text.slice(start, end);
    const from = start + chosen.length - chosen.trimStart().length;
    const to = end - (chosen.length - chosen.trimEnd().length);
    if (from >= to) return null;
    const ruler = closerlook.ruler(text);
    return [ruler.point(from), ruler.point(to - 1) + 1];
  };
}
