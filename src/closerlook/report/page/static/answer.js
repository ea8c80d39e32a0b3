// One answer: tokens in the color of their class, marked spans underlined. A token under the pointer or cursor shows its numbers.
"use strict";
{
  const { html, useEffect, useLayoutEffect, useMemo, useRef, useState } = htmPreact;

  closerlook.Answer = ({ cell, index, marker, selected, onSelect }) => {
    const text = cell.texts[index];
    const box = useRef(null);
    const [current, setCurrent] = useState(null); // the segment whose numbers are shown
    const last = useRef(-1); // the last segment under the cursor, which resumes from it when the focus returns
    const segments = useMemo(() => split(cell, index, marker, selected), [cell, index, marker, String(selected)]);
    useEffect(() => {
      setCurrent(null);
      last.current = -1;
    }, [cell, index]);
    useLayoutEffect(() => {
      const element = current !== null && box.current.querySelector(`[data-s="${current}"]`);
      if (element) element.classList.add("cursor");
      return () => element && element.classList.remove("cursor");
    }, [current, segments]);
    useEffect(() => {
      const element = selected && box.current && box.current.querySelector(".selected");
      if (element) element.scrollIntoView({ block: "nearest" }); // above the sheet about it
    }, [cell, index, String(selected)]);
    // Memoized, so that moving the cursor through a long answer does not draw it again.
    const elements = useMemo(
      () => segments.map((segment, i) => html`<${Segment} segment=${segment} i=${i} />`),
      [segments],
    );
    const choose = (i) => onSelect(...target(cell, index, marker, segments[i]));
    const onOver = (event) => {
      const element = event.target.closest("[data-s]");
      setCurrent(element ? Number(element.dataset.s) : null);
    };
    const onKey = (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey || !segments.length) return;
      const end = segments.length - 1;
      const next = move ? (current ?? last.current) + move : { Home: 0, End: end }[event.key];
      if (next !== undefined) setCurrent((last.current = Math.min(Math.max(next, 0), end)));
      else if ((event.key === "Enter" || event.key === " ") && current !== null) choose(current);
      else return;
      event.preventDefault();
      const element = next !== undefined && box.current.querySelector(`[data-s="${last.current}"]`);
      if (element) element.scrollIntoView({ block: "nearest" });
    };
    if (!text) return html`<p class="note">The answer is empty.</p>`;
    return html`
      <p
        class="answer" dir="auto" ref=${box} role="listbox" tabindex="0" aria-label=${`Answer of ${cell.cell}: arrow keys move through the tokens, Enter shows where the word may come from`}
        aria-activedescendant=${current === null ? undefined : `${cell.cell}-${current}`}
        onMouseOver=${onOver} onMouseLeave=${() => setCurrent(null)} onKeyDown=${onKey} onBlur=${() => setCurrent(null)}
        onClick=${(event) => event.target.dataset.s && choose(Number(event.target.dataset.s))}
      >${elements}</p>
      ${current !== null && segments[current] && html`<${Tooltip} cell=${cell} segment=${segments[current]}
        id=${`${cell.cell}-${current}`} box=${box} current=${current} />`}
    `;
  };

  // The classes of tokens, each in its color and with its ranks, and what the wavy line means.
  closerlook.Classes = () => html`${closerlook.facts.classes.map((name, i) => html`${i > 0 && ", "}<span
    class=${name}>${name}</span> (rank ${closerlook.facts.class_ranks[name]})`)}. <span class="marked">Wavy lines
    </span> mark spans that were judged to be hallucinated.`;

  closerlook.Legend = () => html`<p class="legend small">Tokens by their rank in the base model: <${closerlook.Classes}
    /> <span class="noprint">Point at a token for its numbers; click a word to see where it may come from.</span></p>`;

  const CONTROL = /[\u202a-\u202e\u2066-\u2069]/; // changes the direction of the text after it: shown, and isolated

  const Segment = ({ segment, i }) =>
    html`<span data-s=${i} data-code=${CONTROL.test(segment.text) ? closerlook.codePoint(segment.text) : undefined}
      id=${`${segment.cell}-${i}`} role="option" aria-selected=${segment.selected ? "true" : "false"}
      class=${classes(segment)}>${segment.text}</span>`;

  const classes = ({ name, span, selected, text }) =>
    [
      name,
      span && "marked",
      selected && "selected",
      /^\s*\n\s*$/.test(text) && "newline",
      CONTROL.test(text) && "control",
    ]
      .filter(Boolean)
      .join(" ") || undefined;

  // The answer in segments: split where tokens, marked spans and the selection begin and end.
  function split(cell, index, marker, selected) {
    const text = cell.texts[index];
    const ruler = closerlook.ruler(text);
    const pieces = cell.pieces(index);
    const spans = cell.spans(index, marker);
    const allPieces = pieces.length ? pieces : [{ start: 0, end: ruler.length, tokens: [] }];
    const controls = Array.from(text.matchAll(new RegExp(CONTROL, "g")), (match) => ruler.point(match.index));
    const edges = [
      ...controls.flatMap((control) => [control, control + 1]),
      ...spans.flatMap(({ start, end }) => [start, end]),
      ...(selected || []),
    ];
    const inside = ([start, end], from) => start <= from && from < end;
    return allPieces.flatMap((piece) => {
      const cuts = [
        ...new Set([piece.start, ...edges.filter((edge) => piece.start < edge && edge < piece.end), piece.end]),
      ].sort((a, b) => a - b);
      return cuts.slice(1).map((end, i) => ({
        start: cuts[i],
        end,
        piece,
        cell: cell.cell,
        text: text.slice(ruler.unit(cuts[i]), ruler.unit(end)),
        name: piece.tokens.length ? closerlook.facts.classes[piece.class] : "",
        span: spans.some((span) => inside([span.start, span.end], cuts[i])),
        selected: Boolean(selected && inside(selected, cuts[i])),
      }));
    });
  }

  // The offsets, in code points, that a click on a segment selects: those of its marked span, else of its word, else its own.
  function target(cell, index, marker, segment) {
    const overlaps = (range) => range.start < segment.end && segment.start < range.end;
    const { start, end } = cell.spans(index, marker).find(overlaps) || cell.words(index).find(overlaps) || segment;
    return [start, end];
  }

  // The numbers of a segment's tokens.
  function Tooltip({ cell, segment, id, box, current }) {
    const tip = useRef(null);
    useEffect(() => {
      const element = box.current && box.current.querySelector(`[data-s="${current}"]`);
      if (!element || !tip.current) return;
      const word = element.getBoundingClientRect();
      const own = tip.current.getBoundingClientRect();
      const below = word.bottom + 8 + own.height < innerHeight;
      tip.current.style.left = `${Math.max(8, Math.min(word.left, innerWidth - own.width - 8))}px`;
      tip.current.style.top = `${Math.max(8, below ? word.bottom + 8 : word.top - own.height - 8)}px`;
    });
    const tokens = segment.piece.tokens.map((token) => cell.token(token));
    return html`<div class="tip" role="tooltip" ref=${tip} id=${`tip-${id}`} aria-live="polite">
      ${!tokens.length && html`<p>No token shift: ${cell.dataset ? "the answer has not been compared with the base model" : "controls are not compared with a base model"}.
        </p>`}
      ${tokens.map((token, i) => html`<${Token} token=${token}
        text=${i === tokens.length - 1 ? (segment.piece.tokens.length > 1 ? "(last piece of a character)" : null) : "(piece of a character)"} own=${segment.text} />`)}
    </div>`;
  }

  function Token({ token, text, own }) {
    const name = text || closerlook.visible(own);
    return html`<div class="token">
      <p><b class=${`chip ${token.class}`}>${token.class}</b> <code dir="auto">${name}</code></p>
      <dl>
        <div><dt>base rank</dt><dd>${token.rank.toLocaleString("en")}</dd></div>
        <div><dt>base probability</dt><dd>${closerlook.probability(token.prob)}</dd></div>
        <div><dt>KL, nats</dt><dd>${closerlook.nats(token.kl)}</dd></div>
      </dl>
      <p class="small">the base model's top five</p>
      <ol class="top" aria-label="The base model's most likely tokens">
        ${token.top.map(
          ([string, share]) => html`<li class=${string === null ? "own" : undefined}>
          <code dir="auto">${string === null ? name : closerlook.visible(string)}</code>
          <span class="meter" aria-hidden="true"><i style=${{ width: `${100 * share}%` }}></i></span>
          <span>${closerlook.probability(share)}</span>
        </li>`,
        )}
      </ol>
      ${token.top.length < 5 && html`<p class="small">the others of the top five: below ${closerlook.percent(closerlook.facts.unlikely)} each</p>`}
    </div>`;
  }
}
