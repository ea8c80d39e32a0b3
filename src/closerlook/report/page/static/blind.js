// One answer without its name: words or stretches of it are selected and marked, and each mark is given an origin.
"use strict";
{
  const { html, useEffect, useMemo, useRef, useState } = htmPreact;
  const ORIGINS = 8; // candidates offered for a span

  // One answer under its letter: words are selected with the pointer, or with Shift and the arrow keys, and marked.
  closerlook.Blind = ({ name, cell, id, opened, marks, inspected, onMarks, onInspected }) => {
    const place = cell.place.get(id);
    const text = place === undefined ? "" : cell.texts[place];
    const ruler = useMemo(() => closerlook.ruler(text), [text]);
    const words = useMemo(
      () => closerlook.words(text).map(({ start, end }) => [ruler.point(start), ruler.point(end - 1) + 1]),
      [text],
    );
    const box = useRef(null);
    const [cursor, setCursor] = useState(null); // [the word that selecting began at, the word it has come to]
    const [drawn, setDrawn] = useState(null); // [start, end) selected with the pointer
    const chosen =
      drawn || (cursor && words.length ? [words[Math.min(...cursor)][0], words[Math.max(...cursor)][1]] : null);
    const mark = (kind) => {
      if (!chosen) return;
      const [start, end] = chosen;
      const others = marks.filter((one) => one.start !== start || one.end !== end);
      onMarks([...others, { start, end, kind, origin: null }]);
      setDrawn(null);
    };
    const remove = () => chosen && onMarks(marks.filter((one) => one.end <= chosen[0] || chosen[1] <= one.start));
    const pressed = (event) => {
      const last = words.length - 1;
      const to = { ArrowRight: (i) => i + 1, ArrowLeft: (i) => i - 1, Home: () => 0, End: () => last }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (to && words.length) {
        const next = cursor ? Math.min(Math.max(to(cursor[1]), 0), last) : event.key === "End" ? last : 0;
        setDrawn(null);
        setCursor([event.shiftKey && cursor ? cursor[0] : next, next]);
      } else if (event.key === "f") mark(closerlook.KINDS[0]);
      else if (event.key === "u") mark(closerlook.KINDS[1]);
      else if (event.key === "Delete" || event.key === "Backspace") remove();
      else if (event.key === "Escape") (setDrawn(null), setCursor(null));
      else return;
      event.preventDefault();
    };
    const released = (event) => {
      if (event.target.closest && event.target.closest("button, select, label")) return; // what is selected is about to be marked
      const found = box.current && closerlook.selectedPoints(box.current, text);
      setDrawn(found);
      if (!found) return;
      setCursor(null);
      getSelection().removeAllRanges(); // it is drawn as ours from now on
    };
    useEffect(() => {
      document.addEventListener("mouseup", released);
      return () => document.removeEventListener("mouseup", released);
    }, [text]);
    return html`<section class="column" aria-label=${`Answer ${name}`}>
      <header><h2>${name}</h2><label class="check"><input type="checkbox" checked=${inspected}
        onChange=${(event) => onInspected(event.target.checked)} /> inspected</label></header>
      ${!text && html`<p class="note">The answer is empty.</p>`}
      <p class="answer plain" dir="auto" ref=${box} tabindex="0" role="textbox" aria-readonly="true"
        aria-multiline="true" onKeyDown=${pressed}
        aria-label=${`Answer ${name}: arrow keys move by word, with Shift they select; f marks as not factual, u as not useful, Delete unmarks`}>
          ${pieces(text, ruler, marks, chosen)}</p>
      <div class="marking" role="group" aria-label="Mark the selection">
        <button disabled=${!chosen} onMouseDown=${(event) => event.preventDefault()}
          onClick=${() => mark(closerlook.KINDS[0])}>Not factual (f)</button>
        <button disabled=${!chosen} onMouseDown=${(event) => event.preventDefault()}
          onClick=${() => mark(closerlook.KINDS[1])}>Not useful (u)</button></div>
      <p class="hidden" aria-live="polite">
        ${chosen ? `selected: ${text.slice(ruler.unit(chosen[0]), ruler.unit(chosen[1]))}` : ""}</p>
      <ul class="marks">${marks.map(
        (
          one,
        ) => html`<${Mark} key=${`${one.start}-${one.end}`} mark=${one}
          text=${text.slice(ruler.unit(one.start), ruler.unit(one.end))} id=${id} opened=${opened}
        onChange=${(changes) => onMarks(marks.map((other) => (other === one ? { ...one, ...changes } : other)))} onRemove=${() => onMarks(marks.filter((other) => other !== one))} />`,
      )}</ul>
    </section>`;
  };

  // The text in pieces, marked and selected ones apart.
  function pieces(text, ruler, marks, chosen) {
    const cuts = [...new Set([0, ruler.length, ...marks.flatMap(({ start, end }) => [start, end]), ...(chosen || [])])]
      .filter((cut) => cut <= ruler.length)
      .sort((a, b) => a - b);
    return cuts.slice(1).map((end, i) => {
      const inside = marks.find((mark) => mark.start <= cuts[i] && cuts[i] < mark.end);
      const names = [
        inside && "marked",
        inside && inside.kind.replace(" ", "-"),
        chosen && chosen[0] <= cuts[i] && cuts[i] < chosen[1] && "selected",
      ].filter(Boolean);
      return html`<span class=${names.join(" ") || undefined}>${text.slice(ruler.unit(cuts[i]), ruler.unit(end))}
        </span>`;
    });
  }

  // A marked span: its kind, and where it comes from.
  function Mark({ mark, text, id, opened, onChange, onRemove }) {
    const [choosing, setChoosing] = useState(false);
    const origin =
      mark.origin === null
        ? "origin: not said"
        : mark.origin === "none"
          ? "origin: no instance"
          : "origin: an instance";
    const choose = (value) => {
      onChange({ origin: value });
      setChoosing(false);
    };
    return html`<li><q dir="auto">${text}</q>
      <label><span class="hidden">Kind</span><select value=${mark.kind}
        onChange=${(event) => onChange({ kind: event.target.value })}>
        ${closerlook.KINDS.map((kind) => html`<option value=${kind}>${kind}</option>`)}</select></label>
      <button aria-expanded=${choosing ? "true" : "false"} onClick=${() => setChoosing(!choosing)}>${origin}</button>
      <button class="plain" aria-label="Remove the mark" onClick=${onRemove}>✕</button>
      ${choosing && html`<${Origins} text=${text} id=${id} opened=${opened} chosen=${mark.origin} choose=${choose} />`}
        </li>`;
  }

  // The candidates do not depend on whose answer it is: they are those of all answers to the instruction, by the words they share.
  function Origins({ text, id, opened, chosen, choose }) {
    const { value, error } = closerlook.usePromised(`${id} ${text}`, () => candidates(text, id, opened));
    if (!value) return html`<${closerlook.Waiting} error=${error} />`;
    return html`<div class="origins" role="group" aria-label="Where it comes from">
      <p><button aria-pressed=${chosen === null ? "true" : "false"} onClick=${() => choose(null)}>not said
        </button> <button aria-pressed=${chosen === "none" ? "true" : "false"}
        onClick=${() => choose("none")}>no instance</button></p>
      ${!value.length && html`<p class="note">No candidates are known for this instruction: the results have no traces of its answers.
        </p>`}
      <ol class="instances">${value.map(
        (row) => html`<li key=${row[0]}><${closerlook.Instance} row=${row} phrase=${text} candidate=${{}} />
        <button aria-pressed=${chosen === row[0] ? "true" : "false"}
          onClick=${() => choose(row[0])}>It comes from this one</button></li>`,
      )}</ol></div>`;
  }

  async function candidates(text, id, opened) {
    const found = new Map();
    for (const cell of opened) {
      const place = cell.place.get(id);
      if (place === undefined || !cell.dataset) continue;
      const named = [
        ...cell.spans(place).flatMap((span) => cell.candidates(span).map((one) => one.instance)),
        ...cell.words(place).flatMap((word) => word.candidates),
      ];
      for (const row of (await closerlook.openInstances(cell.dataset, new Set(named))).values())
        if (row[1] !== null) found.set(row[0], row);
    }
    const shared = (row) => Math.max(...[row[1], row[2]].map((other) => closerlook.longestRun(text, other).length));
    return [...found.values()]
      .map((row) => [shared(row), row])
      .sort(([a, x], [b, y]) => b - a || (x[0] < y[0] ? -1 : 1))
      .slice(0, ORIGINS)
      .map(([, row]) => row);
  }
}
