// Which responses the inspector lists: by text, task type, class shares, marked spans, and the difference of two cells' scores.
"use strict";
{
  const { html } = htmPreact;

  closerlook.FILTERS = ["q", "task", "class", "share", "span", "judge", "aspect", "one", "two", "diff"];

  // The indices in the evalset of the instructions whose responses pass the filters.
  closerlook.filtered = (evalset, cells, query) => {
    const text = (query.q || "").toLowerCase();
    const share = Number(query.share || 0) / 100;
    const column = closerlook.facts.classes.indexOf(query.class);
    const compared = [query.one, query.two].map((name, i) => cells.find((cell) => cell.cell === name) || cells[i]);
    const passes = (index) => {
      const id = evalset.ids[index];
      const responses = cells.filter((cell) => cell.indexById.has(id)).map((cell) => [cell, cell.indexById.get(id)]);
      const texts = [evalset.instruction[index], ...responses.map(([cell, row]) => cell.texts[row])];
      if (text && !texts.some((candidate) => candidate.toLowerCase().includes(text))) return false;
      if (query.task && !evalset.task_types[index].includes(query.task)) return false;
      if (column >= 0 && !responses.some(([cell, row]) => (cell.shares(row) || [-1, -1, -1])[column] >= share)) return false;
      const marked = responses.some(([cell, row]) => cell.spans(row, query.marker).length > 0);
      if (query.span && marked !== (query.span === "yes")) return false;
      if (!query.diff) return true;
      const scores = compared.map((cell) =>
        cell && cell.indexById.has(id) ? cell.score(cell.indexById.get(id), query.judge, query.aspect) : null,
      );
      return !scores.includes(null) && Math.abs(scores[0] - scores[1]) >= Number(query.diff);
    };
    return evalset.ids.map((_, index) => index).filter(passes);
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
        <fieldset><legend>Share of a class in any answer</legend>
          ${choice("class", "Class", closerlook.facts.classes)}
          <label>at least <input type="number" name="share" min="0" max="100" value=${query.share || ""}
            onChange=${(event) => set({ share: event.target.value })} /> %</label>
        </fieldset>
        <label>Spans <select name="span" value=${query.span || ""} disabled=${!markers.length}
          onChange=${(event) => set({ span: event.target.value })}>
          <option value="">any</option><option value="yes">some marked</option><option value="no">none marked
            </option></select></label>
        ${markers.length > 1 && choice("marker", "Marked by", markers, "anyone")}
        ${!markers.length && html`<p class="small">These cells have no marked spans.</p>`}
        ${
          judges.length > 0 && cells.length > 1
            ? html`<fieldset><legend>Difference of scores</legend>
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
            : html`<p class="small">${judges.length ? "Choose a second cell to compare scores." : "These cells have no scores."}
              </p>`
        }
      </details>
      ${active && html`<button onClick=${() => set(Object.fromEntries(closerlook.FILTERS.map((name) => [name, ""])))}>Clear filters
        </button>`}
    </div>`;
  };
}
