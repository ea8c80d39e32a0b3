// The tables, each by cell (wide) or with every value (tidy), sortable and filterable, with the figures drawn from it.
"use strict";
{
  const { html, useMemo, useState } = htmPreact;
  const FIRST = 200; // rows shown at first
  const LONG = 60; // cells with more characters are wrapped

  closerlook.Tables = ({ name, query }) => {
    const { tables, figures } = closerlook.facts;
    const chosen = tables.find((table) => table.name === name) || (name ? null : tables[0]);
    return html`<div class="split">
      <nav class="side" aria-label="Tables">
        <h2>Tables</h2>
        <ul>${tables.map((table) => html`<li><a href=${closerlook.link(`tables/${table.name}`)}
          aria-current=${table === chosen ? "page" : undefined}>${table.title}</a></li>`)}</ul>
        ${
          figures.some((figure) => !figure.tables.length) &&
          html`<h2>Figures</h2>
        <ul>${figures.filter((figure) => !figure.tables.length).map((figure) => html`<li>
          <a href=${`figures/${figure.name}.svg`}>${figure.title}</a></li>`)}</ul>`
        }
      </nav>
      <main id="main" class="page" tabindex="-1">
        ${chosen && html`<${Table} key=${chosen.name} name=${chosen.name} query=${query} />`}
        ${!chosen && html`<p class="note">
          ${name ? `These results have no table called ${name}.` : "There are no tables yet."}</p>`}
      </main>
    </div>`;
  };

  // The link has the sorting and the filters of each grid: `sort`, `q`, and `is.<column>`. The second grid's keys begin with `2.`,
  // and so on.
  function Table({ name, query }) {
    const { value: table, error } = closerlook.usePromised(name, () => closerlook.load(`table-${name}`));
    if (!table) return html`<${closerlook.Waiting} error=${error} />`;
    const figures = closerlook.facts.figures.filter((figure) => figure.tables.includes(name));
    const tidy = query.view === "tidy" || !table.wide.length;
    const view = (view) => closerlook.link(`tables/${name}`, { view });
    const change = (changes) => closerlook.go(closerlook.link(`tables/${name}`, { ...query, ...changes }), true);
    return html`
      <h1>${table.title}</h1>
      <p class="caption">${table.caption}</p>
      ${figures.map((figure) => html`<figure><a href=${`figures/${figure.name}.svg`}>
        <img src=${`figures/${figure.name}.svg`} alt=${figure.title} /></a><figcaption>
        <b>${figure.title}.</b> ${figure.caption}</figcaption></figure>`)}
      <p class="tabs">
        ${table.wide.length > 0 && html`<a href=${view("")} aria-current=${tidy ? undefined : "page"}>By cell</a>`}
        <a href=${view("tidy")} aria-current=${tidy ? "page" : undefined}>Every value</a>
        <button class="plain noprint" onClick=${() => closerlook.save(`${name}.csv`, "text/csv", csv(table))}>CSV</button>
      </p>
      ${
        tidy
          ? html`<${Grid} key="tidy" header=${table.header} rows=${table.rows} align="" query=${query} change=${change}
              prefix="" />`
          : table.wide.map(
              (wide, i) => html`
            ${wide.section && html`<h2>${wide.section}</h2>`}
            ${wide.common && html`<p class="small">All rows: ${wide.common}.</p>`}
            <${Grid} key=${wide.section} header=${wide.header} rows=${wide.lines} align=${wide.align} query=${query}
              change=${change} prefix=${i ? `${i + 1}.` : ""} />`,
            )
      }
    `;
  }

  // The table as the CSV file that it was read from.
  function csv({ header, rows }) {
    const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
    return [header, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join("");
  }

  // The sorting key of a cell: the number that it begins with, else its text.
  closerlook.sortKey = (cell) => {
    const number = /^[+−-]?[\d,]*\.?\d+(?:e[+-]?\d+)?/i.exec(cell);
    return number ? Number(number[0].replaceAll(",", "").replace("−", "-")) : cell;
  };

  // The rows by a column, numbers before texts, empty cells last.
  closerlook.sorted = (rows, column, descending) => {
    const empty = (row) => row[column] === "" || row[column] === "–" || row[column] === "no data";
    const compare = (a, b) => {
      const [x, y] = [closerlook.sortKey(a[column]), closerlook.sortKey(b[column])];
      if (typeof x === typeof y) return typeof x === "number" ? x - y : x.localeCompare(y, "en");
      return typeof x === "number" ? -1 : 1;
    };
    return [...rows].sort((a, b) => empty(a) - empty(b) || (descending ? -1 : 1) * (empty(a) ? 0 : compare(a, b)));
  };

  function Grid({ header, rows, align, query, change, prefix }) {
    const [all, setAll] = useState(false);
    const setting = (key) => query[prefix + key] || "";
    const set = (key, value) => change({ [prefix + key]: value });
    const choices = useMemo(() => fewValued(header, rows), [rows]);
    const [text, sorting] = [setting("q"), setting("sort")];
    const column = header.indexOf(sorting.replace(/^-/, ""));
    const sort = column >= 0 ? [column, sorting.startsWith("-")] : null; // [column, descending]
    const required = choices.map(([i]) => [i, setting(`is.${header[i]}`)]).filter(([, value]) => value);
    const shown = useMemo(() => {
      const words = text.toLowerCase().split(/\s+/).filter(Boolean);
      const passing = rows.filter(
        (row) =>
          required.every(([i, value]) => row[i] === value) &&
          words.every((word) => row.some((cell) => cell.toLowerCase().includes(word))),
      );
      return sort ? closerlook.sorted(passing, ...sort) : passing;
    }, [rows, sorting, text, String(required)]);
    const numeric = header.map((_, i) =>
      align ? align[i] === "r" : rows.every((row) => typeof closerlook.sortKey(row[i] || "0") === "number"),
    );
    const order = (i) => (sort && sort[0] === i ? (sort[1] ? "descending" : "ascending") : "none");
    const toggle = (i) => set("sort", { none: header[i], ascending: `-${header[i]}`, descending: "" }[order(i)]);
    return html`
      <div class="controls noprint">
        <label>Filter <input type="search" value=${text} onInput=${(event) => set("q", event.target.value)}
          placeholder="words in a row" /></label>
        ${choices.map(
          ([
            i,
            values,
          ]) => html`<label>${header[i]} <select value=${setting(`is.${header[i]}`)}
            onChange=${(event) => set(`is.${header[i]}`, event.target.value)}>
          <option value="">all</option>${values.map((value) => html`<option value=${value}>${value}</option>`)}
        </select></label>`,
        )}
        <span class="small" role="status">${shown.length.toLocaleString("en")} of ${closerlook.count(rows.length, "row")}
          </span>
      </div>
      <div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="data">
        <thead><tr>${header.map(
          (name, i) => html`<th scope="col" aria-sort=${order(i)} class=${numeric[i] ? "number" : ""}>
          <button onClick=${() => toggle(i)}>${name}<i aria-hidden="true">
            ${{ ascending: "↑", descending: "↓", none: "" }[order(i)]}</i></button></th>`,
        )}</tr></thead>
        <tbody>${shown.slice(0, all ? undefined : FIRST).map((row) => html`<tr>
          ${row.map((cell, i) => html`<td class=${numeric[i] ? "number" : align[i] === "p" || cell.length > LONG ? "prose" : ""} dir="auto">
          ${cell}</td>`)}</tr>`)}</tbody>
      </table></div>
      ${!all && shown.length > FIRST && html`<p><button class="noprint"
        onClick=${() => setAll(true)}>Show all ${shown.length.toLocaleString("en")} rows
        </button> <span class="small">The first ${FIRST} are shown.</span></p>`}
    `;
  }

  // The columns of names that have few values: [column, values].
  function fewValued(header, rows) {
    const columns = header.map((_, i) => [i, [...new Set(rows.map((row) => row[i]))].filter(Boolean)]);
    return columns.filter(
      ([i, values]) =>
        values.length > 1 &&
        values.length <= 24 &&
        values.length < rows.length &&
        (typeof closerlook.sortKey(values[0]) !== "number" || ["size", "seed"].includes(header[i])),
    );
  }
}
