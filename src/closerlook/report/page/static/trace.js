// Where a word or a marked span may come from: the instances that contain it, their ranks, and what to compare with.
"use strict";
{
  const { html, useEffect, useRef, useState } = htmPreact;
  const FIRST = 6; // candidates shown at first
  const AROUND = 220; // characters shown on either side of the match in a long text

  closerlook.Trace = ({ cell, index, start, end, marker, onClose }) => {
    const box = useRef(null);
    useEffect(() => {
      const before = document.activeElement;
      return () => before.focus({ preventScroll: true }); // so that arrow keys continue from the token
    }, []);
    useEffect(() => box.current.focus({ preventScroll: true }), [cell, start, end]);
    const overlaps = (range) => range.start < end && start < range.end;
    const spans = cell.spans(index, marker).filter(overlaps);
    const words = cell
      .words(index)
      .filter((word) => overlaps(word) && (!spans.length || (word.start <= start && end <= word.end)));
    const ruler = closerlook.ruler(cell.texts[index]);
    const quote = (from, to) => cell.texts[index].slice(ruler.unit(from), ruler.unit(to));
    return html`<aside class="sheet" ref=${box} tabindex="-1" aria-label="Where it may come from">
      <header><h2>Where <q dir="auto">${short(quote(start, end))}</q> may come from</h2>
        <span class="small">${cell.cell}</span>
        <button class="close noprint" onClick=${onClose} aria-label="Close (Esc)">✕</button></header>
      ${spans.map((span) => html`<${Span} key=${`${span.marker}-${span.start}-${span.end}`} cell=${cell} span=${span}
        text=${quote(span.start, span.end)} />`)}
      ${words.map((word) => html`<${Word} key=${word.start} cell=${cell} word=${word}
        text=${quote(word.start, word.end)} run=${quote(...word.run)} />`)}
      ${!spans.length && !words.length && html`<p class="note">${whyUnknown(cell)}</p>`}
    </aside>`;
  };

  const short = (text) => (text.length > 120 ? `${text.slice(0, 119)}…` : text);

  function whyUnknown(cell) {
    if (!cell.dataset) return "A control was tuned on no dataset, so there is nothing to search.";
    if (!cell.file.words)
      return "The dataset has not been searched for this answer's words: words.parquet is missing.";
    return "Only marked spans and words that begin with a shifted or marginal token are looked up in the dataset.";
  }

  function whyUntraced(cell, span) {
    if (!cell.dataset)
      return "A control was tuned on no dataset. The table origin has the share of its spans that each dataset contains.";
    return cell.markers[span.marker].traced
      ? "The trace does not have this span."
      : "This marker's spans have not been traced.";
  }

  function Span({ cell, span, text }) {
    const { trace } = span;
    const candidates = cell.candidates(span);
    return html`<section>
      <p><b class="chip marked">${span.kind}</b> <q dir="auto">${short(text)}
        </q> marked by ${span.marker}${span.note && html`: <span dir="auto">${span.note}</span>`}
        ${span.origin === "none" && html` · origin: no instance`}</p>
      ${!trace && html`<p class="note">
        ${whyUntraced(cell, span)}
        </p>`}
      ${
        trace &&
        html`<p class="counts">
        <span><b>${trace[0].toLocaleString("en")}
          </b> ${trace[0] === 1 ? "instance contains" : "instances contain"} it verbatim</span>
        <span><b>${trace[1].toLocaleString("en")}</b> as whole words, ignoring case</span>
        <span>longest run of its words in one instance: <b>${closerlook.count(trace[2], "word")}</b></span>
        <span>of equally long and frequent phrases of other answers, <b>${trace[3] === null ? "an unknown share" : closerlook.percent(trace[3], 1)}
          </b> are found</span>
      </p>`
      }
      ${trace && !candidates.length && html`<p class="note">There are no candidate instances.</p>`}
      <${Cards} cell=${cell} phrase=${text} candidates=${candidates} origin=${span.origin} />
    </section>`;
  }

  function Word({ cell, word, text, run }) {
    return html`<section>
      <p class="counts"><span><b>${word.instances.toLocaleString("en")}
        </b> ${word.instances === 1 ? "instance contains" : "instances contain"} the word <q dir="auto">${text}</q></span>
        ${word.longest > 0 && html`<span>longest run around it in one instance: <b>
          ${closerlook.count(word.longest, "word")}</b>, <q dir="auto">${short(run)}</q></span>`}</p>
      <${Comparisons} cell=${cell} length=${word.longest} />
      ${!word.candidates.length && html`<p class="note">No instance of ${cell.cell.split("/")[1]} contains it.</p>`}
      <${Cards} cell=${cell} phrase=${run} word=${text} candidates=${word.candidates.map((instance) => ({ instance }))} />
    </section>`;
  }

  // The share of phrases of this length in all of the cell's answers that the dataset contains, next to what it is compared with.
  function Comparisons({ cell, length }) {
    const rows = cell.file.borrowing.filter(
      ([unit, ngram, where]) =>
        ngram === Math.min(Math.max(length, 1), closerlook.facts.longest_phrase) && where === "all" && !unit.startsWith("span:"),
    );
    if (!rows.length) return html`<p class="small">Nothing to compare with, because borrowing.parquet is missing.</p>`;
    const units = [...new Set(rows.map(([unit]) => unit))];
    const nulls = [...new Set(rows.map(([, , , name]) => name))];
    const share = (unit, name) => {
      const [, , , , found, phrases] = rows.find((row) => row[0] === unit && row[3] === name) || [];
      return phrases ? closerlook.percent(found / phrases, 1) : "–";
    };
    return html`<div class="scroll"><table class="comparisons">
      <caption>The share of all phrases of ${closerlook.count(rows[0][1], "word")} in this cell's answers that the dataset contains (observed), and what to compare it with; held out, instances that were not tuned on, is chance
        </caption>
      <thead><tr><th scope="col">phrases that begin with a token that is</th>${nulls.map((name) => html`<th scope="col"
        class="number">${name.replace("_", " ")}</th>`)}</tr></thead>
      <tbody>${units.map((unit) => html`<tr><th scope="row">${unit}</th>${nulls.map((name) => html`<td class="number">
        ${share(unit, name)}</td>`)}</tr>`)}</tbody>
    </table></div>`;
  }

  // The instances, best first, each with a match highlighted: the phrase, or the word if the instance lacks part of the phrase.
  function Cards({ cell, phrase, word = phrase, candidates, origin = null }) {
    const [all, setAll] = useState(false);
    const shown = all ? candidates : candidates.slice(0, FIRST);
    const numbers = [...shown.map(({ instance }) => instance), ...(typeof origin === "number" ? [origin] : [])];
    const { value: texts, error } = closerlook.usePromised(`${cell.dataset} ${numbers}`, () =>
      closerlook.openInstances(cell.dataset, numbers),
    );
    if (!texts) return html`<${closerlook.Waiting} error=${error} />`;
    return html`<ol class="instances">
      ${shown.map((candidate) => html`<li key=${candidate.instance}><${closerlook.Instance}
        row=${texts.get(candidate.instance)} phrase=${phrase} word=${word} candidate=${candidate}
        named=${origin === candidate.instance} /></li>`)}
      ${typeof origin === "number" && !shown.some(({ instance }) => instance === origin) && html`<li>
        <${closerlook.Instance} row=${texts.get(origin)} phrase=${phrase} candidate=${{}} named /></li>`}
      ${shown.length < candidates.length && html`<li>
        <button onClick=${() => setAll(true)}>Show all ${candidates.length} candidates</button></li>`}
    </ol>`;
  }

  closerlook.Instance = ({ row, phrase, word = phrase, candidate, named }) => {
    if (!row) return html`<p class="note">The page does not have this instance's text.</p>`;
    const [id, instruction, response] = row;
    const facts = [
      candidate.ranks &&
        Object.entries(candidate.ranks)
          .filter(([, rank]) => rank)
          .map(([name, rank]) => `${name} ${rank}`)
          .join(", "),
      candidate.shared !== undefined &&
        `shares ${closerlook.count(candidate.shared, "word")} in a row with the span's sentence`,
      number("keyword overlap", candidate.keyword, 2),
      number("cosine", candidate.semantic, 2),
      number("BM25", candidate.bm25, 1),
    ].filter(Boolean);
    if (instruction === null)
      return html`<article class="instance"><p class="note">No file of the dataset has the text of instance ${id}.</p>
        </article>`;
    const longest = (words) =>
      Math.max(...[instruction, response].map((text) => closerlook.longestRun(words, text).length));
    const match = longest(phrase) < closerlook.words(phrase).length ? word : phrase;
    const length = longest(match);
    return html`<article class="instance">
      <p class="small">${named && html`<b>named as the origin by a person
        </b> · `}${candidate.verbatim && html`<b>contains it</b> · `}<code>${id}</code></p>
      ${facts.length > 0 && html`<p class="small">${candidate.ranks ? "ranks: " : ""}${facts.join(" · ")}</p>`}
      <p class="prompt" dir="auto"><${Matched} text=${instruction} phrase=${match} length=${length} /></p>
      <p dir="auto"><${Matched} text=${response} phrase=${match} length=${length} /></p>
    </article>`;
  };

  const number = (name, value, digits) =>
    value === undefined || value === null ? "" : `${name} ${value.toFixed(digits)}`;

  // A text in which the longest run of the phrase's words is highlighted, if it has `length` words. Long texts are clipped around it.
  function Matched({ text, phrase, length }) {
    const [whole, setWhole] = useState(false);
    const run = closerlook.longestRun(phrase, text);
    const ranges = run.length === length ? run.ranges : [];
    const first = ranges.length ? ranges[0] : [0, 0];
    const clipped = !whole && text.length > 4 * AROUND;
    const from = clipped ? Math.max(0, first[0] - AROUND) : 0;
    const to = clipped ? Math.min(text.length, Math.max(first[1] + AROUND, from + 2 * AROUND)) : text.length;
    const parts = [];
    let next = from;
    for (const [start, end] of ranges.filter(([start, end]) => from <= start && end <= to)) {
      parts.push(text.slice(next, start), html`<mark>${text.slice(start, end)}</mark>`);
      next = end;
    }
    return html`${from > 0 && "… "}${parts}${text.slice(next, to)}${to < text.length && " …"}
      ${clipped && html` <button class="plain noprint" onClick=${() => setWhole(true)}>whole text</button>`}`;
  }
}
