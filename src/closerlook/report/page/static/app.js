// The page: its header, the view that the link names, and the help.
"use strict";
{
  const { html, render, useEffect, useErrorBoundary, useState } = htmPreact;
  const VIEWS = { overview: "Overview", tables: "Tables", inspect: "Answers", annotate: "Annotate" };
  const KEYS = [
    ["j, k", "next and previous response, as n and p; while annotating, n marks the answers as inspected and moves to the next"],
    ["↑, ↓", "previous and next response, in the list"],
    ["←, →", "move through the tokens of the focused answer; while annotating, through its words"],
    ["Enter", "show where the token's word may come from"],
    ["Shift ←, →", "select words while annotating; f marks them as not factual, u as not useful, Delete removes the mark"],
    ["/", "search the responses"],
    ["Esc", "close the sheet or dialog"],
    ["?", "show this help"],
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
      }}>Skip to the content</a>
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
    const [error] = useErrorBoundary((error) => console.error(error)); // if a view fails, the header still links to the others
    if (error) return html`<${Failed} error=${error} />`;
    if (name === "tables") return html`<${closerlook.Tables} name=${rest} query=${query} />`;
    if (name === "inspect") return html`<${closerlook.Inspector} query=${query} />`;
    if (name === "annotate") return html`<${closerlook.Annotate} query=${query} />`;
    return html`<${closerlook.Overview} />`;
  }

  // Values are stored in steps of their square root: the error at a value of 1 is at most 1 / steps.
  const Help = () => {
    const { prob, top_probs, kl } = closerlook.facts.steps;
    return html`
    <p>Each token has the color of its rank in the base model, which saw the same text: <span class="answer">
      <${closerlook.Classes} /></span> Rank and base probability are those of the tuned model's most likely token.</p>
    <p class="small">Probabilities are stored to ${(100 / prob).toFixed(1)} percentage points, those of the base model's top five to ${(100 / top_probs).toFixed(1)}, divergences to ${1 / kl} nats at 1 nat.
      </p>
    <dl class="keys">${KEYS.map(([key, effect]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${effect}</dd></div>`)}</dl>
    <p class="small">The address bar has the link to what you see: copy it to come back or to share it.</p>`;
  };

  const Failed = ({ error }) =>
    html`<main class="page"><h1>closerlook</h1><p class="note problem" role="alert">${error.message}</p></main>`;

  const show = (page) => {
    const root = document.getElementById("app");
    root.replaceChildren(); // removes the message that is shown until the scripts run
    render(page, root);
  };
  closerlook.load("site").then(
    (facts) => {
      closerlook.facts = facts;
      show(html`<${App} facts=${facts} />`);
    },
    (error) => show(html`<${Failed} error=${error} />`),
  );
}
