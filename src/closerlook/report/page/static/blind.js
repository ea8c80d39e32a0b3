// One answer without its cell, in which the annotator selects and marks words and says where each mark comes from.
"use strict";
{
  const { html, useEffect, useMemo, useRef, useState } = htmPreact;
  const ORIGINS = 8; // candidates offered for a span, at most

  // One answer under its letter. Words are selected with the pointer, or with Shift and the arrow keys.
  closerlook.Blind = ({ name, cell, id, opened, marks, inspected, onMarks, onInspected }) => {
    const index = cell.indexById.get(id);
    const text = index === undefined ? "" : cell.texts[index];
    const ruler = useMemo(() => closerlook.ruler(text), [text]);
    const words = useMemo(
      () => closerlook.words(text).map(({ start, end }) => [ruler.point(start), ruler.point(end - 1) + 1]),
      [text],
    );
    const box = useRef(null);
    const [cursor, setCursor] = useState(null); // [the first word of the selection, the word it extends to]
    const [dragged, setDragged] = useState(null); // [start, end) selected with the pointer
    const chosen =
      dragged || (cursor && words.length ? [words[Math.min(...cursor)][0], words[Math.max(...cursor)][1]] : null);
    const addMark = (kind) => {
      if (!chosen) return;
      const [start, end] = chosen;
      const others = marks.filter((mark) => mark.start !== start || mark.end !== end);
      onMarks([...others, { start, end, kind, origin: null }]);
      setDragged(null);
    };
    const remove = () => chosen && onMarks(marks.filter((mark) => mark.end <= chosen[0] || chosen[1] <= mark.start));
    const onKey = (event) => {
      const last = words.length - 1;
      const move = { ArrowRight: (i) => i + 1, ArrowLeft: (i) => i - 1, Home: () => 0, End: () => last }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (move && words.length) {
        const next = cursor ? Math.min(Math.max(move(cursor[1]), 0), last) : event.key === "End" ? last : 0;
        setDragged(null);
        setCursor([event.shiftKey && cursor ? cursor[0] : next, next]);
      } else if (event.key === "f") addMark(closerlook.KINDS[0]);
      else if (event.key === "u") addMark(closerlook.KINDS[1]);
      else if (event.key === "Delete" || event.key === "Backspace") remove();
      else if (event.key === "Escape") (setDragged(null), setCursor(null));
      else return;
      event.preventDefault();
    };
    const onRelease = (event) => {
      if (event.target.closest && event.target.closest("button, select, label")) return; // the selection is about to be marked
      const selection = box.current && closerlook.selectedPoints(box.current, text);
      setDragged(selection);
      if (!selection) return;
      setCursor(null);
      getSelection().removeAllRanges(); // the page draws it from now on
    };
    useEffect(() => {
      document.addEventListener("mouseup", onRelease);
      return () => document.removeEventListener("mouseup", onRelease);
    }, [text]);
    return html`<section class="column" aria-label=${`Answer ${name}`}>
      <header><h2>${name}</h2><label class="check"><input type="checkbox" checked=${inspected}
        onChange=${(event) => onInspected(event.target.checked)} /> inspected</label></header>
      ${!text && html`<p class="note">The answer is empty.</p>`}
      <p class="answer plain" dir="auto" ref=${box} tabindex="0" role="textbox" aria-readonly="true"
        aria-multiline="true" onKeyDown=${onKey}
        aria-label=${`Answer ${name}: arrow keys move by word, with Shift they select; f marks as not factual, u as not useful, Delete removes the mark`}>
          ${pieces(text, ruler, marks, chosen)}</p>
      <div class="marking" role="group" aria-label="Mark the selection">
        <button disabled=${!chosen} onMouseDown=${(event) => event.preventDefault()}
          onClick=${() => addMark(closerlook.KINDS[0])}>Not factual (f)</button>
        <button disabled=${!chosen} onMouseDown=${(event) => event.preventDefault()}
          onClick=${() => addMark(closerlook.KINDS[1])}>Not useful (u)</button></div>
      <p class="hidden" aria-live="polite">
        ${chosen ? `selected: ${text.slice(ruler.unit(chosen[0]), ruler.unit(chosen[1]))}` : ""}</p>
      <ul class="marks">${marks.map(
        (
          mark,
        ) => html`<${Mark} key=${`${mark.start}-${mark.end}`} mark=${mark}
          text=${text.slice(ruler.unit(mark.start), ruler.unit(mark.end))} id=${id} opened=${opened}
          onChange=${(changes) => onMarks(marks.map((other) => (other === mark ? { ...mark, ...changes } : other)))}
          onRemove=${() => onMarks(marks.filter((other) => other !== mark))} />`,
      )}</ul>
    </section>`;
  };

  // The text in pieces, split where marks and the selection begin and end.
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

  // A marked span with its kind and its origin.
  function Mark({ mark, text, id, opened, onChange, onRemove }) {
    const [choosing, setChoosing] = useState(false);
    const origin = { null: "not given", none: "no instance" }[mark.origin] || "an instance";
    const choose = (value) => {
      onChange({ origin: value });
      setChoosing(false);
    };
    return html`<li><q dir="auto">${text}</q>
      <label><span class="hidden">Kind</span><select value=${mark.kind}
        onChange=${(event) => onChange({ kind: event.target.value })}>
        ${closerlook.KINDS.map((kind) => html`<option value=${kind}>${kind}</option>`)}</select></label>
      <button aria-expanded=${choosing ? "true" : "false"} onClick=${() => setChoosing(!choosing)}>origin: ${origin}</button>
      <button class="plain" aria-label="Remove the mark" onClick=${onRemove}>✕</button>
      ${choosing && html`<${Origins} text=${text} id=${id} opened=${opened} chosen=${mark.origin} choose=${choose} />`}
        </li>`;
  }

  // The candidates of all answers to the instruction, by the words that they share with the span, so that they do not reveal the cell.
  function Origins({ text, id, opened, chosen, choose }) {
    const { value, error } = closerlook.usePromised(`${id} ${text}`, () => candidates(text, id, opened));
    if (!value) return html`<${closerlook.Waiting} error=${error} />`;
    return html`<div class="origins" role="group" aria-label="Where it comes from">
      <p><button aria-pressed=${chosen === null ? "true" : "false"} onClick=${() => choose(null)}>not given
        </button> <button aria-pressed=${chosen === "none" ? "true" : "false"}
        onClick=${() => choose("none")}>no instance</button></p>
      ${!value.length && html`<p class="note">There are no candidates for this instruction: its answers have not been traced.
        </p>`}
      <ol class="instances">${value.map(
        (row) => html`<li key=${row[0]}><${closerlook.Instance} row=${row} phrase=${text} candidate=${{}} />
        <button aria-pressed=${chosen === row[0] ? "true" : "false"}
          onClick=${() => choose(row[0])}>It comes from this one</button></li>`,
      )}</ol></div>`;
  }

  async function candidates(text, id, opened) {
    const instances = new Map();
    for (const cell of opened) {
      const index = cell.indexById.get(id);
      if (index === undefined || !cell.dataset) continue;
      const numbers = [
        ...cell.spans(index).flatMap((span) => cell.candidates(span).map(({ instance }) => instance)),
        ...cell.words(index).flatMap((word) => word.candidates),
      ];
      for (const row of (await closerlook.openInstances(cell.dataset, new Set(numbers))).values())
        if (row[1] !== null) instances.set(row[0], row);
    }
    const shared = ([, ...texts]) => Math.max(...texts.map((other) => closerlook.longestRun(text, other).length));
    return [...instances.values()]
      .map((row) => [shared(row), row])
      .sort(([a, x], [b, y]) => b - a || (x[0] < y[0] ? -1 : 1))
      .slice(0, ORIGINS)
      .map(([, row]) => row);
  }
}
