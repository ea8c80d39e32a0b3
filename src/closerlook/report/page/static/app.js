// The page: its head, the view that the link names, the help.
"use strict";
{
  const { html, render, useEffect, useErrorBoundary, useState } = htmPreact;
  const VIEWS = { overview: "Overview", tables: "Tables", inspect: "Answers", annotate: "Annotate" };
  const KEYS = [
    ["j, k", "next, previous response (n, p too); while annotating n is done and next"],
    ["↑, ↓", "the same, in the list of responses"],
    ["←, →", "through the tokens of an answer that has the focus; while annotating, through its words"],
    ["Enter", "where the token's word can have come from"],
    ["Shift ←, →", "select words while annotating; f marks them not factual, u not useful, Delete unmarks"],
    ["/", "search the responses"],
    ["Esc", "close"],
    ["?", "this help"],
  ];

  function App({ facts }) {
    const { path, query } = closerlook.useRoute();
    const [help, setHelp] = useState(false);
    const [view, ...rest] = path.split("/");
    const known = view in VIEWS ? view : "overview";
    closerlook.useKeys({ "?": () => setHelp(true) });
    useEffect(() => {
      document.title = `${VIEWS[known]} · ${facts.preset} · closerlook`;
    }, [known]);
    useEffect(() => scrollTo(0, 0), [path]);
    return html`
      <a class="skip" href="#main" onClick=${(event) => {
        event.preventDefault();
        document.getElementById("main").focus();
      }}>To the content</a>
      <header class="head">
        <a class="name" href=${closerlook.link("overview")}>closerlook <span>${facts.preset}</span></a>
        <nav aria-label="Views">${Object.entries(VIEWS).map(([name, label]) => html`<a href=${closerlook.link(name)}
          aria-current=${name === known ? "page" : undefined}>${label}</a>`)}</nav>
        <${closerlook.ThemeSwitch} />
        <button class="plain" aria-label="Help (?)" onClick=${() => setHelp(true)}>?</button>
      </header>
      <${View} key=${known} name=${known} rest=${rest.join("/")} query=${query} />
      ${help && html`<${closerlook.Dialog} title="Help" onClose=${() => setHelp(false)}><${Help} /><//>`}
    `;
  }

  function View({ name, rest, query }) {
    const [error] = useErrorBoundary((error) => console.error(error)); // a view that fails leaves the way to the others
    if (error) return html`<${Failed} error=${error} />`;
    if (name === "tables") return html`<${closerlook.Tables} name=${rest} query=${query} />`;
    if (name === "inspect") return html`<${closerlook.Inspector} query=${query} />`;
    if (name === "annotate") return html`<${closerlook.Annotate} query=${query} />`;
    return html`<${closerlook.Overview} />`;
  }

  const Help = () => html`
    <p>Each token is colored by its rank in the base model, which saw the same text: <span class="answer">
      <span class="unshifted">unshifted</span> (rank 1), <span class="marginal">marginal
      </span> (2 or 3), <span class="shifted">shifted</span> (above 3)</span>. <span class="answer">
      <span class="marked">Waves</span>
      </span> are under spans marked as hallucinated. The base's probability and rank are those of the tuned model's most likely token.
      </p>
    <p class="small">Probabilities are kept in 256 steps of their square root (right to 0.4 percentage points), those of the base's first five in 64 (to 1.6), divergences in steps of their square root too (to 0.02 nats at 1).
      </p>
    <dl class="keys">${KEYS.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <p class="small">Every view is in its link: copy it from the address bar.</p>`;

  const Failed = ({ error }) =>
    html`<main class="page"><h1>closerlook</h1><p class="note problem" role="alert">${error.message}</p></main>`;

  const show = (page) => {
    const place = document.getElementById("app");
    place.replaceChildren(); // shown until the scripts run
    render(page, place);
  };
  closerlook.load("site").then(
    (facts) => {
      closerlook.facts = facts;
      show(html`<${App} facts=${facts} />`);
    },
    (error) => show(html`<${Failed} error=${error} />`),
  );
}
