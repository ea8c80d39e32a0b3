// Which responses the inspector lists: by words, task type, classes, marked spans, and the difference of two cells' scores.
"use strict";
{
  const { html } = htmPreact;

  closerlook.FILTERS = ["q", "task", "class", "share", "span", "judge", "aspect", "one", "two", "diff"];

  // The places in the evalset of the responses that pass.
  closerlook.filtered = (evalset, cells, query) => {
    const text = (query.q || "").toLowerCase();
    const share = Number(query.share || 0) / 100;
    const column = closerlook.facts.classes.indexOf(query.class);
    const [one, two] = [query.one, query.two].map((name, i) => cells.find((cell) => cell.cell === name) || cells[i]);
    const passes = (place) => {
      const id = evalset.ids[place];
      const here = cells.filter((cell) => cell.place.has(id)).map((cell) => [cell, cell.place.get(id)]);
      if (
        text &&
        ![evalset.instruction[place], ...here.map(([cell, at]) => cell.texts[at])].some((other) =>
          other.toLowerCase().includes(text),
        )
      )
        return false;
      if (query.task && !evalset.task_types[place].includes(query.task)) return false;
      if (column >= 0 && !here.some(([cell, at]) => (cell.shares(at) || [-1, -1, -1])[column] >= share)) return false;
      if (query.span && here.some(([cell, at]) => cell.spans(at, query.marker).length > 0) !== (query.span === "yes"))
        return false;
      if (!query.diff) return true;
      const scores = [one, two].map((cell) =>
        cell && cell.place.has(id) ? cell.score(cell.place.get(id), query.judge, query.aspect) : null,
      );
      return !scores.includes(null) && Math.abs(scores[0] - scores[1]) >= Number(query.diff);
    };
    return evalset.ids.map((_, place) => place).filter(passes);
  };

  closerlook.Filters = ({ evalset, cells, query, onChange }) => {
    const tasks = [...new Set(evalset.task_types.flat())].sort();
    const judges = [...new Set(cells.flatMap((cell) => Object.keys(cell.judges)))].sort();
    const judge = judges.includes(query.judge) ? query.judge : judges[0];
    const aspects = [...new Set(cells.flatMap((cell) => (cell.judges[judge] ? cell.judges[judge].aspects : [])))];
    const markers = [...new Set(cells.flatMap((cell) => Object.keys(cell.markers)))].sort();
    const set = (changes, replace = false) => onChange({ ...query, ...changes }, replace);
    const active = closerlook.FILTERS.filter((name) => query[name]).length > 0;
    const choice = (name, label, values, empty = "any") => html`<label>${label}
      <select name=${name} value=${query[name] || ""} onChange=${(event) => set({ [name]: event.target.value })}>
        ${empty && html`<option value="">${empty}</option>`}${values.map((value) => html`<option value=${value}>${value}
          </option>`)}
      </select></label>`;
    return html`<div class="filters" role="search" aria-label="Filter the responses">
      <label><span class="hidden">Words</span> <input type="search" name="q" value=${query.q || ""}
        onInput=${(event) => set({ q: event.target.value }, true)} placeholder="Search instructions and answers" />
        </label>
      <details open=${active}>
        <summary>More filters</summary>
        ${tasks.length > 0 && choice("task", "Task type", tasks)}
        <fieldset><legend>Tokens of a class, in any cell shown</legend>
          ${choice("class", "Class", closerlook.facts.classes)}
          <label>at least <input type="number" name="share" min="0" max="100" value=${query.share || ""}
            onChange=${(event) => set({ share: event.target.value })} /> %</label>
        </fieldset>
        <label>Hallucinated <select name="span" value=${query.span || ""} disabled=${!markers.length}
          onChange=${(event) => set({ span: event.target.value })}>
          <option value="">any</option><option value="yes">some span is marked</option><option value="no">none is marked
            </option></select></label>
        ${markers.length > 1 && choice("marker", "Marked by", markers, "anyone")}
        ${!markers.length && html`<p class="small">No marked spans in these cells.</p>`}
        ${
          judges.length > 0 && cells.length > 1
            ? html`<fieldset><legend>Scores differ</legend>
          <label>Judge <select name="judge" value=${judge} onChange=${(event) => set({ judge: event.target.value })}>
            ${judges.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
          <label>Aspect <select name="aspect" value=${query.aspect || ""}
            onChange=${(event) => set({ judge, aspect: event.target.value, diff: query.diff || 1 })}>
            <option value="">choose</option>${aspects.map((name) => html`<option value=${name}>${name}</option>`)}
              </select></label>
          ${["one", "two"].map(
            (
              name,
              i,
            ) => html`<label>${["Between", "and"][i]} <select name=${name} value=${query[name] || cells[i].cell}
              onChange=${(event) => set({ [name]: event.target.value })}>
            ${cells.map((cell) => html`<option value=${cell.cell}>${cell.cell}</option>`)}</select></label>`,
          )}
          <label>by at least <input type="number" name="diff" min="1" max="4" disabled=${!query.aspect}
            value=${query.diff || ""} onChange=${(event) => set({ judge, diff: event.target.value })} /></label>
        </fieldset>`
            : html`<p class="small">${judges.length ? "Two cells have scores to compare." : "No scores in these cells."}
              </p>`
        }
      </details>
      ${active && html`<button onClick=${() => set(Object.fromEntries(closerlook.FILTERS.map((name) => [name, ""])))}>Clear filters
        </button>`}
    </div>`;
  };
}
