// The inspector: one instruction, the answers of some cells side by side. All that it shows is in its link.
"use strict";
{
  const { html, useEffect, useMemo, useRef } = htmPreact;
  const AROUND = 150; // entries drawn of the list on either side of the one that is read
  const MOST = 6; // cells side by side

  closerlook.Inspector = ({ query }) => {
    const { evalsets, cells } = closerlook.facts;
    const evalset =
      evalsets.find((one) => one.name === query.evalset) ||
      (query.evalset ? null : evalsets.find((one) => cells.some((row) => row.evalset === one.name && row.file)));
    if (!evalset)
      return html`<main id="main" class="page" tabindex="-1"><p class="note">
        ${query.evalset ? `There is no evalset called ${query.evalset} in these results.` : "No cell has answers yet."}
        </p></main>`;
    const names = (query.cells ? query.cells.split(",") : closerlook.defaultCells(evalset.name)).slice(0, MOST);
    const rows = names
      .map((name) => cells.find((row) => row.cell === name && row.evalset === evalset.name))
      .filter((row) => row && row.file);
    const absent = names.filter((name) => !rows.some((row) => row.cell === name));
    const key = `${evalset.name} ${rows.map((row) => row.cell)}`;
    const { value, error } = closerlook.usePromised(key, () =>
      Promise.all([evalset.file ? closerlook.load(evalset.file) : null, ...rows.map(closerlook.openCell)]),
    );
    if (!value) return html`<main id="main" class="page" tabindex="-1"><${closerlook.Waiting} error=${error} /></main>`;
    const [asked, ...opened] = value;
    return html`<${Opened} evalset=${asked || unnamed(opened)} name=${evalset.name} cells=${opened} absent=${absent}
      query=${{ ...query, evalset: evalset.name, cells: rows.map((row) => row.cell).join(",") }} />`;
  };

  // Where the evalset's file is not there: the ids of the answers, and nothing known of them.
  function unnamed(cells) {
    const ids = [...new Set(cells.flatMap((cell) => cell.file.ids))];
    const none = ids.map(() => []);
    return {
      ids,
      instruction: ids.map(() => "(The evalset's file is not in the results.)"),
      task_types: none,
      topics: none,
      reference: ids.map(() => null),
    };
  }

  function Opened({ evalset, name, cells, absent, query }) {
    const main = useRef(null);
    const filters = closerlook.FILTERS.map((filter) => query[filter]).join("\n") + query.marker;
    const shown = useMemo(() => closerlook.filtered(evalset, cells, query), [evalset, cells, filters]);
    const found = query.id === undefined ? -1 : evalset.ids.indexOf(query.id);
    const place = found >= 0 ? found : shown.length ? shown[0] : -1;
    const go = (changes, replace) => closerlook.go(closerlook.link("inspect", { ...query, ...changes }), replace);
    const read = (other) => {
      if (other === undefined) return;
      go({ id: evalset.ids[other], at: "" });
      main.current.scrollIntoView(); // on a narrow screen the list is above
    };
    const at = shown.indexOf(place);
    const step = (by) => read(shown[at < 0 ? 0 : at + by]);
    const close = () => query.at && go({ at: "" });
    closerlook.useKeys({
      j: () => step(1),
      k: () => step(-1),
      n: () => step(1),
      p: () => step(-1),
      Escape: close,
      "/": () => document.querySelector("input[name=q]").focus(),
    });
    useEffect(() => main.current && !query.at && main.current.scrollTo(0, 0), [place]);
    const trace = traced(query.at, cells, evalset.ids[place]);
    return html`<div class="inspect">
      <aside class="side noprint" aria-label="Responses">
        <${Cells} query=${query} name=${name} />
        ${cells.length > 0 && html`<${closerlook.Filters} evalset=${evalset} cells=${cells} query=${query}
          onChange=${(next, replace) => closerlook.go(closerlook.link("inspect", next), replace)} />`}
        <p class="small" role="status">
          ${shown.length.toLocaleString("en")} of ${closerlook.many(evalset.ids.length, "response")}</p>
        <${List} evalset=${evalset} cells=${cells} shown=${shown} place=${place} read=${read} />
      </aside>
      <main id="main" ref=${main} tabindex="-1">
        <div class="reading">
          ${absent.length > 0 && html`<p class="note">No answers of ${absent.join(", ")}: they have not been generated, or are no cells of this grid.
            </p>`}
          ${query.id !== undefined && found < 0 && html`<p class="note">There is no instruction ${query.id} in ${name}.
            </p>`}
          ${place < 0 && html`<p class="note">No response passes the filters.</p>`}
          ${place >= 0 && html`<${Question} evalset=${evalset} place=${place} at=${at} count=${shown.length}
            step=${step} />`}
          ${place >= 0 && cells.some((cell) => cell.file.shift) && html`<${closerlook.Legend} />`}
          ${place >= 0 && html`<div class="answers">${cells.map((cell) => html`<${Column} key=${cell.cell} cell=${cell}
            id=${evalset.ids[place]} query=${query} trace=${trace} go=${go} />`)}</div>`}
          ${!cells.length && html`<p class="note">Choose a cell on the left.</p>`}
        </div>
        ${trace && html`<${closerlook.Trace} ...${trace} marker=${query.marker} onClose=${close} />`}
      </main>
    </div>`;
  }

  // `cell:start-end` of the link as what it selects; null where that is nothing.
  function traced(at, cells, id) {
    const parts = /^(.*):(\d+)-(\d+)$/.exec(at || "");
    const cell = parts && cells.find((one) => one.cell === parts[1]);
    if (!cell || !cell.place.has(id)) return null;
    return { cell, place: cell.place.get(id), start: Number(parts[2]), end: Number(parts[3]) };
  }

  // Which evalset and cells are shown.
  function Cells({ query, name }) {
    const { evalsets, cells } = closerlook.facts;
    const chosen = query.cells ? query.cells.split(",") : [];
    const others = cells.filter((row) => row.evalset === name && row.file && !chosen.includes(row.cell));
    const show = (names) =>
      closerlook.go(closerlook.link("inspect", { ...query, cells: names.join(","), at: "", one: "", two: "" }));
    return html`<section aria-label="Evalset and cells">
      ${
        evalsets.length > 1 &&
        html`<label>Evalset <select name="evalset" value=${name}
          onChange=${(event) => closerlook.go(closerlook.link("inspect", { evalset: event.target.value }))}>
        ${evalsets.map((one) => html`<option value=${one.name}
          disabled=${!cells.some((row) => row.evalset === one.name && row.file)}>${one.name}</option>`)}</select>
          </label>`
      }
      <h2>Cells side by side</h2>
      <ul class="chosen">${chosen.map((cell) => html`<li key=${cell}><span>${cell}</span>${chosen.length > 1 && html`<button class="plain"
        aria-label=${`Leave out ${cell}`} onClick=${() => show(chosen.filter((other) => other !== cell))}>✕
        </button>`}</li>`)}</ul>
      ${
        others.length > 0 &&
        chosen.length < MOST &&
        html`<label><span class="hidden">Add a cell</span><select name="add" value=""
          onChange=${(event) => show([...chosen, event.target.value])}>
        <option value="">Add a cell …</option>${others.map((row) => html`<option value=${row.cell}>${row.cell}
          </option>`)}</select></label>`
      }
    </section>`;
  }

  // The responses that pass the filters: one stop of the Tab key; arrow keys read the next.
  function List({ evalset, cells, shown, place, read }) {
    const list = useRef(null);
    const at = Math.max(0, shown.indexOf(place));
    const from = Math.max(0, at - AROUND);
    const drawn = shown.slice(from, at + AROUND + 1);
    useEffect(() => {
      const current = list.current.querySelector("[aria-selected=true]");
      if (!current) return;
      const { offsetTop: top, offsetHeight: height } = current; // the list alone scrolls, not the page
      list.current.scrollTop = Math.max(Math.min(list.current.scrollTop, top), top + height - list.current.clientHeight);
    }, [place, shown]);
    const pressed = (event) => {
      const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[event.key];
      if (next === undefined || !shown.length) return;
      event.preventDefault();
      read(shown[Math.min(Math.max(next, 0), shown.length - 1)]);
    };
    const marked = (other) =>
      cells.some((cell) => cell.place.has(evalset.ids[other]) && cell.spans(cell.place.get(evalset.ids[other])).length);
    return html`<ol class="list" ref=${list} role="listbox" tabindex="0"
      aria-label="Responses: up and down arrows read the next" onKeyDown=${pressed}
      aria-activedescendant=${shown.includes(place) ? `response-${place}` : undefined}>
      ${from > 0 && html`<li class="small" role="presentation">${from.toLocaleString("en")} more above</li>`}
      ${drawn.map(
        (
          other,
        ) => html`<li key=${other} id=${`response-${other}`} role="option"
          aria-selected=${other === place ? "true" : "false"} onClick=${() => read(other)}>
        <span class="small">${other + 1}</span><span dir="auto">${evalset.instruction[other].slice(0, 90)}</span>
          ${marked(other) && html`<i class="dot" title="a span is marked" aria-label="a span is marked"></i>`}
      </li>`,
      )}
      ${from + drawn.length < shown.length && html`<li class="small" role="presentation">
        ${(shown.length - from - drawn.length).toLocaleString("en")} more below</li>`}
    </ol>`;
  }

  function Question({ evalset, place, at, count, step }) {
    const tags = [...evalset.task_types[place], ...evalset.topics[place]];
    return html`<section class="question" aria-label="Instruction">
      <header><span class="small"><code>${evalset.ids[place]}</code>${tags.map((tag) => html` <span class="tag">${tag}
        </span>`)}</span>
        <span class="steps noprint"><button onClick=${() => step(-1)} disabled=${at <= 0}
          aria-label="Previous response (k)">←</button>
          <span class="small">
            ${at < 0 ? "not in the list" : `${(at + 1).toLocaleString("en")} / ${count.toLocaleString("en")}`}</span>
          <button onClick=${() => step(1)} disabled=${at + 1 >= count} aria-label="Next response (j)">→</button></span>
            </header>
      <p class="instruction" dir="auto">${evalset.instruction[place]}</p>
      ${evalset.reference[place] !== null && html`<details><summary>Reference answer</summary><p dir="auto"
        class="instruction">${evalset.reference[place]}</p></details>`}
    </section>`;
  }

  const FINISHED = { eos: "", stop: "ended by a stop string", length: "cut at max_new_tokens" };

  // One cell's answer, what its tokens are, and what judges say.
  function Column({ cell, id, query, trace, go }) {
    const place = cell.place.get(id);
    if (place === undefined)
      return html`<section class="column" aria-label=${cell.cell}><h2>${cell.cell}</h2>
        <p class="note">No answer to this instruction.</p></section>`;
    const selected = trace && trace.cell === cell ? [trace.start, trace.end] : null;
    const unmarked = Object.entries(cell.markers).flatMap(([name, marker]) =>
      marker.unmarked.filter(([at]) => at === place).map((row) => [name, ...row]),
    );
    return html`<section class="column" aria-label=${cell.cell}>
      <header><h2><span class="method">${cell.method}</span> <span class="small">${cell.cell}</span></h2>
        <${closerlook.ShareBar} shares=${cell.shares(place)} />
        ${!cell.file.shift && html`<p class="small">
          ${cell.dataset ? "Token shift: not there." : "A control: its tokens are not compared with a base model's."}
          </p>`}</header>
      <${closerlook.Answer} cell=${cell} place=${place} marker=${query.marker} selected=${selected}
        onSelect=${(start, end) => go({ id, at: `${cell.cell}:${start}-${end}` })} />
      <footer>
        ${FINISHED[cell.file.finish[place]] && html`<p class="small">${FINISHED[cell.file.finish[place]]}</p>`}
        ${unmarked.map(([name, , cause, quote]) => html`<p class="small">
          ${name}: ${cause}${quote && html`: <q dir="auto">${quote}</q>`}</p>`)}
        ${Object.entries(cell.judges).map(([name, verdicts]) => html`<${Verdicts} name=${name} verdicts=${verdicts}
          place=${place} />`)}
      </footer>
    </section>`;
  }

  function Verdicts({ name, verdicts, place }) {
    return html`<details class="verdicts"><summary><span class="small">${name}</span>
        ${verdicts.aspects.map((aspect, i) => html` <span class="score"><span class="small">${aspect}</span> <b>
          ${verdicts.scores[place][i] ?? "–"}</b></span>`)}</summary>
      <dl>${verdicts.aspects.map((aspect, i) => html`<div><dt>${aspect} <b>${verdicts.scores[place][i] ?? "–"}</b></dt>
        <dd dir="auto">${verdicts.reasons[place][i] || "no reason given"}</dd></div>`)}</dl>
      <p class="small">${verdicts.judge}</p></details>`;
  }
}
