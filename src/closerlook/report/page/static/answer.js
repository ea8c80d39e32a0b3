// One answer: its tokens colored by class, marked spans underlined; a token under the pointer or the cursor shows its numbers.
"use strict";
{
  const { html, useEffect, useMemo, useRef, useState } = htmPreact;

  closerlook.Answer = ({ cell, place, marker, selected, onSelect }) => {
    const text = cell.texts[place];
    const box = useRef(null);
    const [at, setAt] = useState(null); // the segment whose numbers show
    const left = useRef(-1); // the last segment under the cursor, which resumes there when the focus returns
    const segments = useMemo(() => cut(cell, place, marker, selected), [cell, place, marker, String(selected)]);
    useEffect(() => {
      setAt(null);
      left.current = -1;
    }, [cell, place]);
    useEffect(() => {
      const element = at !== null && box.current.querySelector(`[data-s="${at}"]`);
      if (element) element.classList.add("cursor");
      return () => element && element.classList.remove("cursor");
    }, [at, segments]);
    useEffect(() => {
      const element = selected && box.current && box.current.querySelector(".selected");
      if (element) element.scrollIntoView({ block: "nearest" }); // above the sheet that tells of it
    }, [cell, place, String(selected)]);
    // The same elements as long as the segments are the same: moving the cursor through a long answer draws nothing anew.
    const drawn = useMemo(
      () => segments.map((segment, i) => html`<${Segment} segment=${segment} i=${i} />`),
      [segments],
    );
    const choose = (i) => onSelect(...target(cell, place, marker, segments[i]));
    const over = (event) => {
      const element = event.target.closest("[data-s]");
      setAt(element ? Number(element.dataset.s) : null);
    };
    const pressed = (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey || !segments.length) return;
      const last = segments.length - 1;
      const to = move ? (at ?? left.current) + move : { Home: 0, End: last }[event.key];
      if (to !== undefined) setAt((left.current = Math.min(Math.max(to, 0), last)));
      else if ((event.key === "Enter" || event.key === " ") && at !== null) choose(at);
      else return;
      event.preventDefault();
      const element = to !== undefined && box.current.querySelector(`[data-s="${left.current}"]`);
      if (element) element.scrollIntoView({ block: "nearest" });
    };
    if (!text) return html`<p class="note">The answer is empty.</p>`;
    return html`
      <p
        class="answer" dir="auto" ref=${box} role="listbox" tabindex="0" aria-label=${`Answer of ${cell.cell}: arrow keys move through its tokens, Enter opens where one leads`}
        aria-activedescendant=${at === null ? undefined : `${cell.cell}-${at}`}
        onMouseOver=${over} onMouseLeave=${() => setAt(null)} onKeyDown=${pressed} onBlur=${() => setAt(null)}
        onClick=${(event) => event.target.dataset.s && choose(Number(event.target.dataset.s))}
      >${drawn}</p>
      ${at !== null && segments[at] && html`<${Tip} cell=${cell} segment=${segments[at]}
        id=${`${cell.cell}-${at}`} box=${box} at=${at} />`}
    `;
  };

  // What colors and lines mean.
  closerlook.Legend = () => html`<p class="legend small">Each token by its rank in the base model: <span>unshifted
    </span> 1, <span class="marginal">marginal</span> 2 or 3, <span class="shifted">shifted</span> above 3; <span
    class="marked">waves</span> are under what is marked as hallucinated. <span class="noprint">Point at a token for its numbers, click to see where its word can have come from.
    </span></p>`;

  const CONTROL = /[\u202a-\u202e\u2066-\u2069]/; // changes the direction of what follows: it is shown, and kept to itself

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

  // The answer cut where tokens, marked spans and the selection begin and end; without known tokens, where the latter do.
  function cut(cell, place, marker, selected) {
    const text = cell.texts[place];
    const ruler = closerlook.ruler(text);
    const pieces = cell.pieces(place);
    const spans = cell.spans(place, marker);
    const whole = pieces.length ? pieces : [{ start: 0, end: ruler.length, tokens: [] }];
    const controls = Array.from(text.matchAll(new RegExp(CONTROL, "g")), (found) => ruler.point(found.index));
    const edges = [
      ...controls.flatMap((place) => [place, place + 1]),
      ...spans.flatMap(({ start, end }) => [start, end]),
      ...(selected || []),
    ];
    const inside = ([start, end], from) => start <= from && from < end;
    return whole.flatMap((piece) => {
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

  // The offsets, in code points, that a click on a segment selects: of its marked span, else of its word, else its own.
  function target(cell, place, marker, segment) {
    const over = (one) => one.start < segment.end && segment.start < one.end;
    const found = cell.spans(place, marker).find(over) || cell.words(place).find(over) || segment;
    return [found.start, found.end];
  }

  // The numbers of a segment's tokens, in a tooltip.
  function Tip({ cell, segment, id, box, at }) {
    const tip = useRef(null);
    useEffect(() => {
      const element = box.current && box.current.querySelector(`[data-s="${at}"]`);
      if (!element || !tip.current) return;
      const word = element.getBoundingClientRect();
      const own = tip.current.getBoundingClientRect();
      const below = word.bottom + 8 + own.height < innerHeight;
      tip.current.style.left = `${Math.max(8, Math.min(word.left, innerWidth - own.width - 8))}px`;
      tip.current.style.top = `${Math.max(8, below ? word.bottom + 8 : word.top - own.height - 8)}px`;
    });
    const tokens = segment.piece.tokens.map((token) => cell.token(token));
    return html`<div class="tip" role="tooltip" ref=${tip} id=${`tip-${id}`} aria-live="polite">
      ${!tokens.length && html`<p>No token shift is known here: ${cell.dataset ? "the answer was not compared with the base model" : "a control is not compared with its base model"}.
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
      <p class="small">the base model's first five</p>
      <ol class="top" aria-label="The base model's most likely tokens">
        ${token.top.map(
          ([other, share]) => html`<li class=${other === null ? "own" : undefined}>
          <code dir="auto">${other === null ? name : closerlook.visible(other)}</code>
          <span class="meter" aria-hidden="true"><i style=${{ width: `${100 * share}%` }}></i></span>
          <span>${closerlook.probability(share)}</span>
        </li>`,
        )}
      </ol>
      ${token.top.length < 5 && html`<p class="small">the others of the first five: below 5% each</p>`}
    </div>`;
  }
}
