// Text: offsets in code points (as in Python and all files of the workflow) and in UTF-16 units (as in browsers); words; numbers.
"use strict";
{
  const ASTRAL = /[\ud800-\udbff]/;

  // Converts between the two kinds of offsets in one text.
  closerlook.ruler = (text) => {
    if (!ASTRAL.test(text)) {
      const within = (i) => Math.min(i, text.length);
      return { length: text.length, unit: within, point: within };
    }
    const units = [0];
    for (const character of text) units.push(units[units.length - 1] + character.length);
    return {
      length: units.length - 1,
      unit: (point) => units[Math.min(point, units.length - 1)],
      point: (unit) => last(units, (value) => value <= unit), // of the code point that contains the unit
    };
  };

  // The last index whose value passes, in an array in which the values that pass come first.
  function last(values, passes) {
    let low = 0;
    let high = values.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (passes(values[middle])) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // A regular expression that the build exports (closerlook.report.page.constants), compiled when it is first used.
  const compiled = {};
  const exported = (name) => (compiled[name] = compiled[name] || new RegExp(closerlook.facts[name], "gu"));

  const casefold = (text) => Array.from(text, (character) => closerlook.facts.casefold[character] || character).join("");

  // The words of a text, split as for the search index (closerlook.text.words), casefolded, with their offsets in UTF-16 units.
  closerlook.words = (text) =>
    Array.from(text.matchAll(exported("word")), (match) => ({
      text: casefold(match[0]),
      start: match.index,
      end: match.index + match[0].length,
    }));

  // The longest run of a phrase's words that the text contains: { length in words, ranges in units of each occurrence }.
  closerlook.longestRun = (phrase, text) => {
    const phraseWords = closerlook.words(phrase).map((word) => word.text);
    const words = closerlook.words(text);
    let length = 0;
    let ends = [];
    let runsBefore = new Uint16Array(phraseWords.length + 1);
    words.forEach((word, index) => {
      const runs = new Uint16Array(phraseWords.length + 1);
      let best = 0;
      phraseWords.forEach((phraseWord, i) => {
        if (phraseWord === word.text) best = Math.max(best, (runs[i + 1] = runsBefore[i] + 1));
      });
      runsBefore = runs;
      if (best > length) [length, ends] = [best, []];
      if (best && best === length) ends.push(index);
    });
    return { length, ranges: ends.map((end) => [words[end - length + 1].start, words[end].end]) };
  };

  closerlook.codePoint = (character) =>
    `[U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`;

  // A text on one line: whitespace as symbols, hidden characters as code points (closerlook.text.escape).
  closerlook.visible = (text) =>
    text
      .replace(exported("hidden"), (character) => closerlook.facts.symbols[character] || closerlook.codePoint(character))
      .replaceAll(" ", closerlook.facts.symbols[" "]);

  // A probability, to the precision that is stored (closerlook.report.page.tokens).
  closerlook.probability = (p) => {
    if (p > 0.995) return ">99%";
    if (p >= 0.0995) return `${(100 * p).toFixed(0)}%`;
    return p >= 0.001 ? `${(100 * p).toFixed(1)}%` : "<0.1%";
  };

  // A divergence in nats, to the precision that is stored.
  closerlook.nats = (kl) => {
    const most = Math.floor(closerlook.facts.kl_most);
    return kl >= most ? `≥ ${most}` : kl.toFixed(kl < 10 ? 2 : 1);
  };

  closerlook.percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;

  // A number with its noun.
  closerlook.count = (number, singular, plural = `${singular}s`) =>
    `${number.toLocaleString("en")} ${number === 1 ? singular : plural}`;
}
