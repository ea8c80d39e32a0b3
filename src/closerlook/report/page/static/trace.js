// Where a word or a marked span can have come from: the instances that hold it, how they rank, and what chance alone would give.
"use strict";
{
  const { html, useEffect, useRef, useState } = htmPreact;
  const FIRST = 6; // candidates shown before one asks for all
  const AROUND = 220; // characters kept on either side of the match in a long text

  closerlook.Trace = ({ cell, place, start, end, marker, onClose }) => {
    const box = useRef(null);
    useEffect(() => {
      const before = document.activeElement;
      return () => before.focus({ preventScroll: true }); // on to the next token, for those who came by keys
    }, []);
    useEffect(() => box.current.focus({ preventScroll: true }), [cell, start, end]);
    const over = (one) => one.start < end && start < one.end;
    const spans = cell.spans(place, marker).filter(over);
    const words = cell
      .words(place)
      .filter((word) => over(word) && (!spans.length || (word.start <= start && end <= word.end)));
    const ruler = closerlook.ruler(cell.texts[place]);
    const quote = (from, to) => cell.texts[place].slice(ruler.unit(from), ruler.unit(to));
    return html`<aside class="sheet" ref=${box} tabindex="-1" aria-label="Where it can have come from">
      <header><h2>Where <q dir="auto">${short(quote(start, end))}</q> can have come from</h2>
        <span class="small">${cell.cell}</span>
        <button class="close noprint" onClick=${onClose} aria-label="Close (Esc)">✕</button></header>
      ${spans.map((span) => html`<${Span} key=${`${span.marker}-${span.start}-${span.end}`} cell=${cell} span=${span}
        text=${quote(span.start, span.end)} />`)}
      ${words.map((word) => html`<${Word} key=${word.start} cell=${cell} word=${word}
        text=${quote(word.start, word.end)} run=${quote(...word.run)} />`)}
      ${!spans.length && !words.length && html`<p class="note">${unknown(cell)}</p>`}
    </aside>`;
  };

  const short = (text) => (text.length > 120 ? `${text.slice(0, 119)}…` : text);

  function unknown(cell) {
    if (!cell.dataset) return "A control was tuned on no dataset, so there is none to search.";
    if (!cell.file.words)
      return "The dataset has not been searched for this answer's words: there is no words.parquet.";
    return "Only words that begin with a shifted or marginal token, and marked spans, are looked for in the dataset.";
  }

  function Span({ cell, span, text }) {
    const { trace } = span;
    const candidates = cell.candidates(span);
    return html`<section>
      <p><b class="chip marked">${span.kind}</b> <q dir="auto">${short(text)}
        </q> marked by ${span.marker}${span.note && html`: <span dir="auto">${span.note}</span>`}
        ${span.origin === "none" && html` · origin: no instance`}</p>
      ${!trace && html`<p class="note">
        ${cell.markers[span.marker].traced ? "Nothing is known of this span's origin." : "This marker's spans have not been traced."}
        </p>`}
      ${
        trace &&
        html`<p class="counts">
        <span><b>${trace[0].toLocaleString("en")}
          </b> ${trace[0] === 1 ? "instance holds" : "instances hold"} it verbatim</span>
        <span><b>${trace[1].toLocaleString("en")}</b> as whole words, case ignored</span>
        <span>longest run found: <b>${closerlook.many(trace[2], "word")}</b></span>
        <span>chance level: <b>${trace[3] === null ? "not known" : closerlook.percent(trace[3], 1)}
          </b> of phrases as long and as frequent are found</span>
      </p>`
      }
      ${trace && !candidates.length && html`<p class="note">No instance is a candidate.</p>`}
      <${Cards} cell=${cell} phrase=${text} candidates=${candidates} origin=${span.origin} />
    </section>`;
  }

  function Word({ cell, word, text, run }) {
    return html`<section>
      <p class="counts"><span><b>${word.instances.toLocaleString("en")}
        </b> ${word.instances === 1 ? "instance holds" : "instances hold"} the word <q dir="auto">${text}</q></span>
        ${word.longest > 0 && html`<span>longest run around it that one holds: <b>
          ${closerlook.many(word.longest, "word")}</b>, <q dir="auto">${short(run)}</q></span>`}</p>
      <${Chance} cell=${cell} length=${word.longest} />
      ${!word.candidates.length && html`<p class="note">No instance of ${cell.cell.split("/")[1]} holds it.</p>`}
      <${Cards} cell=${cell} phrase=${run} word=${text} candidates=${word.candidates.map((instance) => ({ instance }))} />
    </section>`;
  }

  // How often phrases of so many words are found in the dataset, in all of the cell's answers, and how often by chance.
  function Chance({ cell, length }) {
    const rows = cell.file.borrowing.filter(
      ([unit, ngram, where]) =>
        ngram === Math.min(Math.max(length, 1), 8) && where === "all" && !unit.startsWith("span:"),
    );
    if (!rows.length) return html`<p class="small">Chance level: not known (no borrowing.parquet).</p>`;
    const units = [...new Set(rows.map(([unit]) => unit))];
    const nulls = [...new Set(rows.map(([, , , name]) => name))];
    const share = (unit, name) => {
      const row = rows.find((other) => other[0] === unit && other[3] === name);
      return row && row[5] ? closerlook.percent(row[4] / row[5], 1) : "–";
    };
    return html`<div class="scroll"><table class="chance">
      <caption>Of all phrases of ${closerlook.many(rows[0][1], "word")} in this cell's answers, how many the dataset holds: observed, and by chance
        </caption>
      <thead><tr><th scope="col">phrases that begin with a token that is</th>${nulls.map((name) => html`<th scope="col"
        class="number">${name.replace("_", " ")}</th>`)}</tr></thead>
      <tbody>${units.map((unit) => html`<tr><th scope="row">${unit}</th>${nulls.map((name) => html`<td class="number">
        ${share(unit, name)}</td>`)}</tr>`)}</tbody>
    </table></div>`;
  }

  // The instances, best first, each with the match highlighted: the phrase, or of a word's run that is not whole there the word.
  function Cards({ cell, phrase, word = phrase, candidates, origin = null }) {
    const [all, setAll] = useState(false);
    const shown = all ? candidates : candidates.slice(0, FIRST);
    const numbers = [...shown.map((one) => one.instance), ...(typeof origin === "number" ? [origin] : [])];
    const { value: texts, error } = closerlook.usePromised(`${cell.dataset} ${numbers}`, () =>
      closerlook.openInstances(cell.dataset, numbers),
    );
    if (!texts) return html`<${closerlook.Waiting} error=${error} />`;
    return html`<ol class="instances">
      ${shown.map((one) => html`<li key=${one.instance}><${closerlook.Instance} row=${texts.get(one.instance)}
        phrase=${phrase} word=${word} candidate=${one} named=${origin === one.instance} /></li>`)}
      ${typeof origin === "number" && !shown.some((one) => one.instance === origin) && html`<li>
        <${closerlook.Instance} row=${texts.get(origin)} phrase=${phrase} candidate=${{}} named /></li>`}
      ${shown.length < candidates.length && html`<li>
        <button onClick=${() => setAll(true)}>Show all ${candidates.length} candidates</button></li>`}
    </ol>`;
  }

  closerlook.Instance = ({ row, phrase, word = phrase, candidate, named }) => {
    if (!row) return html`<p class="note">The instance's text is not in the page.</p>`;
    const [id, instruction, response] = row;
    const facts = [
      candidate.ranks &&
        Object.entries(candidate.ranks)
          .filter(([, rank]) => rank)
          .map(([name, rank]) => `${name} ${rank}`)
          .join(", "),
      candidate.shared !== undefined &&
        `${closerlook.many(candidate.shared, "word")} in a row shared with its sentence`,
      number("keyword overlap", candidate.keyword, 2),
      number("cosine", candidate.semantic, 2),
      number("BM25", candidate.bm25, 1),
    ].filter(Boolean);
    if (instruction === null)
      return html`<article class="instance"><p class="note">Instance ${id}: no file of the dataset has its text.</p>
        </article>`;
    const held = (some) => Math.max(...[instruction, response].map((text) => closerlook.longestRun(some, text).length));
    const match = held(phrase) < closerlook.words(phrase).length ? word : phrase;
    const length = held(match);
    return html`<article class="instance">
      <p class="small">${named && html`<b>named as the origin by a person
        </b> · `}${candidate.verbatim && html`<b>holds it</b> · `}<code>${id}</code></p>
      ${facts.length > 0 && html`<p class="small">${candidate.ranks ? "ranks: " : ""}${facts.join(" · ")}</p>`}
      <p class="asked" dir="auto"><${Matched} text=${instruction} phrase=${match} length=${length} /></p>
      <p dir="auto"><${Matched} text=${response} phrase=${match} length=${length} /></p>
    </article>`;
  };

  const number = (name, value, digits) =>
    value === undefined || value === null ? "" : `${name} ${value.toFixed(digits)}`;

  // A text with the longest run of the phrase's words in it highlighted, if it is `length` words long; a long text only around it.
  function Matched({ text, phrase, length }) {
    const [whole, setWhole] = useState(false);
    const found = closerlook.longestRun(phrase, text);
    const ranges = found.length === length ? found.ranges : [];
    const first = ranges.length ? ranges[0] : [0, 0];
    const clipped = !whole && text.length > 4 * AROUND;
    const from = clipped ? Math.max(0, first[0] - AROUND) : 0;
    const to = clipped ? Math.min(text.length, Math.max(first[1] + AROUND, from + 2 * AROUND)) : text.length;
    const parts = [];
    let at = from;
    for (const [start, end] of ranges.filter(([start, end]) => from <= start && end <= to)) {
      parts.push(text.slice(at, start), html`<mark>${text.slice(start, end)}</mark>`);
      at = end;
    }
    return html`${from > 0 && "… "}${parts}${text.slice(at, to)}${to < text.length && " …"}
      ${clipped && html` <button class="plain noprint" onClick=${() => setWhole(true)}>whole text</button>`}`;
  }
}
