// The overview: what the grid contains, its state, the claims, and links to everything else.
"use strict";
{
  const { html } = htmPreact;
  const DECISIONS = { holds: "✓", "does not hold": "✗", undecided: "?" };

  const distinct = (values) => [...new Set(values)].filter(Boolean);

  closerlook.Overview = () => {
    const { preset, cells, evalsets, tables, figures, problems } = closerlook.facts;
    const answered = cells.filter((row) => row.file).length;
    const sizes = [
      [distinct(cells.map((row) => row.model)).length, "model"],
      [distinct(cells.map((row) => row.cell.split("/")[1]).filter((name) => name !== "none")).length, "dataset"],
      [distinct(cells.map((row) => row.cell)).length, "cell"],
      [evalsets.length, "evalset"],
      [evalsets.reduce((sum, evalset) => sum + evalset.rows, 0), "instruction"],
    ];
    return html`<main id="main" class="page" tabindex="-1">
      <header class="lead">
        <h1>${preset}</h1>
        <p>What instruction tuning changed, whether it was worth it, and where the new mistakes come from.</p>
        <ul class="facts">
          ${sizes.map(([count, noun]) => html`<li><strong>${count.toLocaleString("en")}
            </strong> ${count === 1 ? noun : `${noun}s`}</li>`)}
        </ul>
        <nav class="ways" aria-label="Views of the results">
          ${answered > 0 && html`<a class="button first" href=${closerlook.link("inspect")}>Read the answers</a>`}
          ${tables.length > 0 && html`<a class="button" href=${closerlook.link("tables")}>Tables and figures</a>`}
          ${answered > 0 && html`<a class="button" href=${closerlook.link("annotate")}>Annotate</a>`}
        </nav>
      </header>
      ${
        problems.length > 0 &&
        html`<section class="note problem" aria-labelledby="problems">
        <h2 id="problems">Files that cannot be read</h2>
        <ul>${problems.map((problem) => html`<li><bdi>${problem}</bdi></li>`)}</ul>
      </section>`
      }
      <${Claims} /> <${Grid} />
      <section aria-labelledby="results">
        <h2 id="results">Tables and figures</h2>
        ${tables.length + figures.length === 0 && html`<p class="note">There are no tables yet. <code>snakemake
          </code> makes them.</p>`}
        <ul class="cards">
          ${tables.map((table) => html`<li><a href=${closerlook.link(`tables/${table.name}`)}>${table.title}
            </a> <span class="small">${closerlook.count(table.rows, "value")}</span></li>`)}
        </ul>
      </section>
    </main>`;
  };

  const SOURCES = { ours: "This grid", paper: "The paper's numbers" };

  // A row per claim with its answer and the decisions per model and dataset, from this grid and from the paper's numbers.
  function Claims() {
    const { claims, tables } = closerlook.facts;
    if (!claims.length)
      return html`<section aria-labelledby="claims"><h2 id="claims">Claims</h2>
        <p class="note">These results have no table of claims.</p></section>`;
    const names = distinct(claims.map((row) => row.claim));
    const sources = distinct(claims.map((row) => row.decided_from));
    return html`<section aria-labelledby="claims">
      <h2 id="claims">Claims</h2>
      <p class="small">Each finding of the paper as a testable statement: the answer for the mean of all pairs of cells that it is about, and the decisions on single pairs${tables.some((table) => table.name === "claims") && html`; <a href=${closerlook.link("tables/claims")}>with all numbers
        </a>`}.</p>
      <div class="scroll" tabindex="0" role="region" aria-label="Claims"><table class="claims">
        <thead><tr><th scope="col">Claim</th>${sources.map((source) => html`<th scope="col">${SOURCES[source] || source}
          </th>`)}</tr></thead>
        <tbody>${names.map(
          (claim) => html`<tr><th scope="row" dir="auto">${claim}</th>
          ${sources.map((source) => html`<td>
            <${Decisions} rows=${claims.filter((row) => row.claim === claim && row.decided_from === source)} /></td>`)}
        </tr>`,
        )}</tbody>
      </table></div>
    </section>`;
  }

  function Decisions({ rows }) {
    const answers = rows.filter((row) => row.metric === "mean_effect");
    const pairs = rows.filter((row) => row.metric === "effect");
    if (!rows.length) return html`<span class="small">not decided</span>`;
    return html`${answers.map((row) => html`<p class="answer"><${Badge} decision=${row.decision || "no data"} /> <span class="small">
      ${[row.judge, row.decided_by].filter(Boolean).join(", ")}</span></p>`)}
      ${pairs.length > 0 && html`<details><summary class="small">${closerlook.count(pairs.length, "pair")}</summary>
      <${Pairs} rows=${pairs} /></details>`}`;
  }

  function Pairs({ rows }) {
    const decided = rows.map((row) => ({ subject: subject(row), decision: row.decision || "no data" }));
    const kinds = distinct([...Object.keys(DECISIONS), ...decided.map(({ decision }) => decision)]);
    const ordered = kinds.flatMap((kind) => decided.filter(({ decision }) => decision === kind));
    return html`<ul class="badges">${ordered.map(({ subject, decision }) => html`<li>
      <${Badge} decision=${decision} /> <span class="small">${subject}</span></li>`)}</ul>`;
  }

  const Badge = ({ decision }) =>
    html`<b class="badge" data-decision=${decision}>${DECISIONS[decision] || "·"} ${decision}</b>`;

  const subject = (row) =>
    [
      row.model,
      row.size ? `${row.dataset}@${row.size}` : row.dataset,
      row.method,
      row.evalset,
      row.judge,
      row.against && `against ${row.against}`,
    ]
      .filter(Boolean)
      .join(" / ");

  // A row per cell and evalset, a column per stage.
  function Grid() {
    const { cells } = closerlook.facts;
    const stages = distinct(cells.flatMap((row) => row.stages.map(([name]) => name)));
    const missing = cells.flatMap((row) => row.stages.filter(([, done]) => !done));
    return html`<section aria-labelledby="grid">
      <h2 id="grid">The grid</h2>
      <p class="small">
        ${missing.length ? `Missing: ${closerlook.count(missing.length, "file")}.` : "Every stage of every cell is done."} A dash marks a stage that the cell does not have.
        </p>
      <div class="scroll" tabindex="0" role="region" aria-label="The grid"><table class="grid">
        <thead><tr><th scope="col">Cell</th><th scope="col">Evalset</th>${stages.map((name) => html`<th scope="col">
          ${name}</th>`)}</tr></thead>
        <tbody>${cells.map(
          (row) => html`<tr>
          <th scope="row">
            ${row.file ? html`<a href=${closerlook.link("inspect", { evalset: row.evalset, cells: row.cell })}>
            ${row.cell}</a>` : row.cell}</th>
          <td>${row.evalset}</td>
          ${stages.map((name) => {
            const stage = row.stages.find(([stage]) => stage === name);
            if (!stage) return html`<td class="none" aria-label="no such stage">–</td>`;
            return stage[1]
              ? html`<td class="done">done</td>`
              : html`<td class="missing" title=${stage[2]}>missing</td>`;
          })}
        </tr>`,
        )}</tbody>
      </table></div>
      ${
        missing.length > 0 &&
        html`<details><summary>Commands that make the missing files</summary>
        <pre>${[...new Set(missing.map(([, , command]) => command))].join("\n")}</pre></details>`
      }
    </section>`;
  }
}
