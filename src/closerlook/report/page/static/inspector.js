// The inspector: one instruction and the answers of several cells side by side. Its link has all of its state.
"use strict";
{
  const { html, useEffect, useMemo, useRef } = htmPreact;
  const AROUND = 150; // entries of the list that are drawn on either side of the current one
  const MOST = 6; // cells side by side, at most

  closerlook.Inspector = ({ query }) => {
    const { evalsets, cells } = closerlook.facts;
    const evalset =
      evalsets.find(({ name }) => name === query.evalset) ||
      (query.evalset ? null : evalsets.find(({ name }) => cells.some((row) => row.evalset === name && row.file)));
    if (!evalset)
      return html`<main id="main" class="page" tabindex="-1"><p class="note">
        ${query.evalset ? `These results have no evalset called ${query.evalset}.` : "No cell has answers yet."}
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
    const [instructions, ...opened] = value;
    return html`<${Reading} evalset=${instructions || withoutTexts(opened)} name=${evalset.name} cells=${opened} absent=${absent}
      query=${{ ...query, evalset: evalset.name, cells: rows.map((row) => row.cell).join(",") }} />`;
  };

  // The evalset if its file is missing: the ids of the answers alone.
  function withoutTexts(cells) {
    const ids = [...new Set(cells.flatMap((cell) => cell.file.ids))];
    const none = ids.map(() => []);
    return {
      ids,
      instruction: ids.map(() => "(The results do not have the evalset's file.)"),
      task_types: none,
      topics: none,
      reference: ids.map(() => null),
    };
  }

  function Reading({ evalset, name, cells, absent, query }) {
    const main = useRef(null);
    const filters = closerlook.FILTERS.map((filter) => query[filter]).join("\n") + query.marker;
    const shown = useMemo(() => closerlook.filtered(evalset, cells, query), [evalset, cells, filters]);
    const linked = query.id === undefined ? -1 : evalset.ids.indexOf(query.id);
    const index = linked >= 0 ? linked : shown.length ? shown[0] : -1;
    const go = (changes, replace) => closerlook.go(closerlook.link("inspect", { ...query, ...changes }), replace);
    const open = (next) => {
      if (next === undefined) return;
      go({ id: evalset.ids[next], at: "" });
      main.current.scrollIntoView(); // on a narrow screen the list is above
    };
    const position = shown.indexOf(index);
    const step = (by) => open(shown[position < 0 ? 0 : position + by]);
    const close = () => query.at && go({ at: "" });
    closerlook.useKeys({
      j: () => step(1),
      k: () => step(-1),
      n: () => step(1),
      p: () => step(-1),
      Escape: close,
      "/": () => document.querySelector("input[name=q]").focus(),
    });
    useEffect(() => main.current && !query.at && main.current.scrollTo(0, 0), [index]);
    const trace = traced(query.at, cells, evalset.ids[index]);
    return html`<div class="inspect">
      <aside class="side noprint" aria-label="Responses">
        <${Cells} query=${query} name=${name} />
        ${cells.length > 0 && html`<${closerlook.Filters} evalset=${evalset} cells=${cells} query=${query}
          onChange=${(next, replace) => closerlook.go(closerlook.link("inspect", next), replace)} />`}
        <p class="small" role="status">
          ${shown.length.toLocaleString("en")} of ${closerlook.count(evalset.ids.length, "response")}</p>
        <${List} evalset=${evalset} cells=${cells} shown=${shown} index=${index} open=${open} />
      </aside>
      <main id="main" ref=${main} tabindex="-1">
        <div class="reading">
          ${absent.length > 0 && html`<p class="note">No answers of ${absent.join(", ")}: not generated yet, or not a cell of this grid.
            </p>`}
          ${query.id !== undefined && linked < 0 && html`<p class="note">${name} has no instruction ${query.id}.
            </p>`}
          ${index < 0 && html`<p class="note">No response passes the filters.</p>`}
          ${index >= 0 && html`<${Question} evalset=${evalset} index=${index} position=${position} count=${shown.length}
            step=${step} />`}
          ${index >= 0 && cells.some((cell) => cell.file.shift) && html`<${closerlook.Legend} />`}
          ${index >= 0 && html`<div class="answers">${cells.map((cell) => html`<${Column} key=${cell.cell} cell=${cell}
            id=${evalset.ids[index]} query=${query} trace=${trace} go=${go} />`)}</div>`}
          ${!cells.length && html`<p class="note">Choose a cell on the left.</p>`}
        </div>
        ${trace && html`<${closerlook.Trace} ...${trace} marker=${query.marker} onClose=${close} />`}
      </main>
    </div>`;
  }

  // The selection that `cell:start-end` in the link names; null if there is no such thing.
  function traced(at, cells, id) {
    const parts = /^(.*):(\d+)-(\d+)$/.exec(at || "");
    const cell = parts && cells.find(({ cell }) => cell === parts[1]);
    if (!cell || !cell.indexById.has(id)) return null;
    return { cell, index: cell.indexById.get(id), start: Number(parts[2]), end: Number(parts[3]) };
  }

  // The choice of evalset and cells.
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
        ${evalsets.map((evalset) => html`<option value=${evalset.name}
          disabled=${!cells.some((row) => row.evalset === evalset.name && row.file)}>${evalset.name}</option>`)}</select>
          </label>`
      }
      <h2>Cells side by side</h2>
      <ul class="chosen">${chosen.map((cell) => html`<li key=${cell}><span>${cell}</span>${chosen.length > 1 && html`<button class="plain"
        aria-label=${`Remove ${cell}`} onClick=${() => show(chosen.filter((other) => other !== cell))}>✕
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

  // The responses that pass the filters: one stop of the Tab key; arrow keys open the next.
  function List({ evalset, cells, shown, index, open }) {
    const list = useRef(null);
    const position = Math.max(0, shown.indexOf(index));
    const from = Math.max(0, position - AROUND);
    const drawn = shown.slice(from, position + AROUND + 1);
    useEffect(() => {
      const current = list.current.querySelector("[aria-selected=true]");
      if (!current) return;
      const { offsetTop: top, offsetHeight: height } = current; // the list alone scrolls, not the page
      list.current.scrollTop = Math.max(Math.min(list.current.scrollTop, top), top + height - list.current.clientHeight);
    }, [index, shown]);
    const onKey = (event) => {
      const next = { ArrowDown: position + 1, ArrowUp: position - 1, Home: 0, End: shown.length - 1 }[event.key];
      if (next === undefined || !shown.length) return;
      event.preventDefault();
      open(shown[Math.min(Math.max(next, 0), shown.length - 1)]);
    };
    const hasSpan = (id) => cells.some((cell) => cell.indexById.has(id) && cell.spans(cell.indexById.get(id)).length);
    return html`<ol class="list" ref=${list} role="listbox" tabindex="0"
      aria-label="Responses: the up and down arrows open the previous and the next" onKeyDown=${onKey}
      aria-activedescendant=${shown.includes(index) ? `response-${index}` : undefined}>
      ${from > 0 && html`<li class="small" role="presentation">${from.toLocaleString("en")} more above</li>`}
      ${drawn.map(
        (
          entry,
        ) => html`<li key=${entry} id=${`response-${entry}`} role="option"
          aria-selected=${entry === index ? "true" : "false"} onClick=${() => open(entry)}>
        <span class="small">${entry + 1}</span><span dir="auto">${evalset.instruction[entry].slice(0, 90)}</span>
          ${hasSpan(evalset.ids[entry]) && html`<i class="dot" title="has a marked span" aria-label="has a marked span"></i>`}
      </li>`,
      )}
      ${from + drawn.length < shown.length && html`<li class="small" role="presentation">
        ${(shown.length - from - drawn.length).toLocaleString("en")} more below</li>`}
    </ol>`;
  }

  function Question({ evalset, index, position, count, step }) {
    const tags = [...evalset.task_types[index], ...evalset.topics[index]];
    return html`<section class="question" aria-label="Instruction">
      <header><span class="small"><code>${evalset.ids[index]}</code>${tags.map((tag) => html` <span class="tag">${tag}
        </span>`)}</span>
        <span class="steps noprint"><button onClick=${() => step(-1)} disabled=${position <= 0}
          aria-label="Previous response (k)">←</button>
          <span class="small">
            ${position < 0 ? "not in the list" : `${(position + 1).toLocaleString("en")} / ${count.toLocaleString("en")}`}</span>
          <button onClick=${() => step(1)} disabled=${position + 1 >= count} aria-label="Next response (j)">→</button></span>
            </header>
      <p class="instruction" dir="auto">${evalset.instruction[index]}</p>
      ${evalset.reference[index] !== null && html`<details><summary>Reference answer</summary><p dir="auto"
        class="instruction">${evalset.reference[index]}</p></details>`}
    </section>`;
  }

  const FINISHED = { eos: "", stop: "Ended by a stop string.", length: "Cut at max_new_tokens." };

  // One cell's answer, the shares of its classes, and the judges' verdicts.
  function Column({ cell, id, query, trace, go }) {
    const index = cell.indexById.get(id);
    if (index === undefined)
      return html`<section class="column" aria-label=${cell.cell}><h2>${cell.cell}</h2>
        <p class="note">No answer to this instruction.</p></section>`;
    const selected = trace && trace.cell === cell ? [trace.start, trace.end] : null;
    const unmarked = Object.entries(cell.markers).flatMap(([name, marker]) =>
      marker.unmarked.filter(([response]) => response === index).map((row) => [name, ...row]),
    );
    return html`<section class="column" aria-label=${cell.cell}>
      <header><h2><span class="method">${cell.method}</span> <span class="small">${cell.cell}</span></h2>
        <${closerlook.ShareBar} shares=${cell.shares(index)} />
        ${!cell.file.shift && html`<p class="small">
          ${cell.dataset ? "Token shift has not been measured." : "A control: its tokens are not compared with a base model's."}
          </p>`}</header>
      <${closerlook.Answer} cell=${cell} index=${index} marker=${query.marker} selected=${selected}
        onSelect=${(start, end) => go({ id, at: `${cell.cell}:${start}-${end}` })} />
      <footer>
        ${FINISHED[cell.file.finish[index]] && html`<p class="small">${FINISHED[cell.file.finish[index]]}</p>`}
        ${unmarked.map(([name, , cause, quote]) => html`<p class="small">
          ${name}: ${cause}${quote && html`: <q dir="auto">${quote}</q>`}</p>`)}
        ${Object.entries(cell.judges).map(([name, verdicts]) => html`<${Verdicts} name=${name} verdicts=${verdicts}
          index=${index} />`)}
      </footer>
    </section>`;
  }

  function Verdicts({ name, verdicts, index }) {
    return html`<details class="verdicts"><summary><span class="small">${name}</span>
        ${verdicts.aspects.map((aspect, i) => html` <span class="score"><span class="small">${aspect}</span> <b>
          ${verdicts.scores[index][i] ?? "–"}</b></span>`)}</summary>
      <dl>${verdicts.aspects.map((aspect, i) => html`<div><dt>${aspect} <b>${verdicts.scores[index][i] ?? "–"}</b></dt>
        <dd dir="auto">${verdicts.reasons[index][i] || "no reason given"}</dd></div>`)}</dl>
      <p class="small">${verdicts.judge}</p></details>`;
  }
}
