// Blind annotation: the answers to an instruction are called A, B, C, in an order that depends on the seed, without their cells.
"use strict";
{
  const { html, useEffect, useMemo, useRef, useState } = htmPreact;
  const letter = (i) => String.fromCharCode(65 + i);

  closerlook.Annotate = ({ query }) => {
    const { preset } = closerlook.facts;
    const key = (annotator) => `annotate/${preset}/${annotator}`;
    const [annotator, setAnnotator] = useState(closerlook.stored(`annotator/${preset}`) || "");
    const saved = closerlook.storedJson(key(annotator));
    const [session, setSession] = useState(saved && saved.session);
    const [work, setWork] = useState(saved ? saved.work : closerlook.emptyWork(annotator, preset));
    const [problem, setProblem] = useState("");
    useEffect(() => {
      // Follows the same annotator in another tab, so that no tab overwrites the other's work.
      const onStorage = (event) =>
        event.key === `closerlook/${key(annotator)}` && event.newValue && setWork(JSON.parse(event.newValue).work);
      addEventListener("storage", onStorage);
      return () => removeEventListener("storage", onStorage);
    }, [annotator]);
    const keep = (next, settings = session) => {
      setWork(next);
      const stored = closerlook.store(key(next.annotator), JSON.stringify({ session: settings, work: next }));
      setProblem(stored ? "" : "This browser does not save your work. Export it before you close the page.");
    };
    const begin = (name, settings) => {
      const earlier = closerlook.storedJson(key(name));
      closerlook.store(`annotator/${preset}`, name);
      setAnnotator(name);
      setSession(settings);
      keep(earlier ? earlier.work : closerlook.emptyWork(name, preset), settings);
      closerlook.go(closerlook.link("annotate", { n: 1 }));
    };
    if (!session || !query.n) return html`<${Setup} annotator=${annotator} session=${session} onBegin=${begin} />`;
    return html`<${Session} session=${session} work=${work} keep=${keep} problem=${problem} n=${Number(query.n) || 1} />`;
  };

  function Setup({ annotator, session, onBegin }) {
    const { evalsets, cells } = closerlook.facts;
    const usable = evalsets.filter(({ name, file }) => file && cells.some((row) => row.evalset === name && row.file));
    const [name, setName] = useState(annotator);
    const [evalset, setEvalset] = useState(session ? session.evalset : usable.length ? usable[0].name : "");
    const [chosen, setChosen] = useState(session ? session.cells : closerlook.defaultCells(evalset));
    const [count, setCount] = useState(session ? session.count : 40);
    const [seed, setSeed] = useState(session ? session.seed : 0);
    if (!usable.length)
      return html`<main id="main" class="page" tabindex="-1"><p class="note">No cell has answers to annotate yet.</p>
        </main>`;
    const answered = cells.filter((row) => row.evalset === evalset && row.file).map((row) => row.cell);
    const toggle = (cell) =>
      setChosen(
        chosen.includes(cell)
          ? chosen.filter((other) => other !== cell)
          : answered.filter((other) => chosen.includes(other) || other === cell),
      );
    const ready = name.trim() && chosen.length > 0 && count > 0;
    return html`<main id="main" class="page narrow" tabindex="-1">
      <h1>Annotate</h1>
      <p class="caption">Read answers without knowing which method gave them, mark what is not factual or not useful, and say where a marked span comes from, if you can tell. The seed decides the order of instructions and answers. Annotators who choose the same settings see the same answers, so that their agreement can be measured. Your work is saved in this browser; export it when you are done.
        </p>
      <form class="setup" onSubmit=${(event) => {
        event.preventDefault();
        if (ready) onBegin(name.trim(), { evalset, cells: chosen, count, seed });
      }}>
        <label>Your name <input name="annotator" value=${name}
          onInput=${(event) => setName(event.target.value)} required /></label>
        <label>Evalset <select name="evalset" value=${evalset} onChange=${(event) => {
          setEvalset(event.target.value);
          setChosen(closerlook.defaultCells(event.target.value));
        }}>
          ${usable.map(({ name }) => html`<option value=${name}>${name}</option>`)}</select></label>
        <label>Instructions <input type="number" name="count" min="1" value=${count}
          onInput=${(event) => setCount(Number(event.target.value))} /></label>
        <label>Seed <input type="number" name="seed" min="0" value=${seed}
          onInput=${(event) => setSeed(Number(event.target.value))} /></label>
        <fieldset><legend>Cells whose answers are read</legend>
          ${answered.map((cell) => html`<label class="check"><input type="checkbox" name="cell" value=${cell}
            checked=${chosen.includes(cell)} onChange=${() => toggle(cell)} /> ${cell}</label>`)}</fieldset>
        <button class="button first" disabled=${!ready}>${session ? "Continue" : "Begin"}</button>
      </form>
    </main>`;
  }

  // The instructions of a session in their order, each with its cells in their order.
  closerlook.blindOrder = (session, ids) =>
    closerlook
      .shuffled(ids, `${session.seed}`)
      .slice(0, session.count)
      .map((id) => ({ id, cells: closerlook.shuffled(session.cells, `${session.seed} ${id}`) }));

  function Session({ session, work, keep, problem, n }) {
    const { evalsets, cells } = closerlook.facts;
    const evalset = evalsets.find(({ name }) => name === session.evalset);
    const rows = session.cells.map((name) => cells.find((row) => row.cell === name && row.evalset === session.evalset));
    const { value, error } = closerlook.usePromised(`${session.evalset} ${session.cells}`, () =>
      evalset && rows.every((row) => row && row.file)
        ? Promise.all([closerlook.load(evalset.file), ...rows.map(closerlook.openCell)])
        : Promise.reject(new Error("Some of the chosen answers no longer exist. Choose others in the settings.")),
    );
    if (!value)
      return html`<main id="main" class="page" tabindex="-1"><${closerlook.Waiting} error=${error} /><p>
        <a href=${closerlook.link("annotate")}>Settings</a></p></main>`;
    return html`<${Task} session=${session} work=${work} keep=${keep} problem=${problem} n=${n} instructions=${value[0]}
      opened=${value.slice(1)} />`;
  }

  function Task({ session, work, keep, problem, n, instructions, opened }) {
    const tasks = useMemo(() => closerlook.blindOrder(session, instructions.ids), [session, instructions]);
    const [notice, setNotice] = useState("");
    const file = useRef(null);
    const index = Math.min(Math.max(n, 1), tasks.length) - 1;
    const task = tasks[index];
    useEffect(() => scrollTo(0, 0), [task.id]);
    const answers = task.cells.map((name) => ({ cell: name, evalset: session.evalset, id: task.id }));
    const go = (next) => next >= 1 && next <= tasks.length && closerlook.go(closerlook.link("annotate", { n: next }));
    const done = () => {
      keep(answers.reduce((updated, answer) => closerlook.withInspected(updated, answer, true), work));
      if (index + 2 <= tasks.length) go(index + 2);
      else setNotice("That was the last instruction. Export your work.");
    };
    closerlook.useKeys({ n: done, p: () => go(index) });
    const inspected = tasks.reduce(
      (sum, { id, cells }) =>
        sum + cells.filter((cell) => closerlook.isInspected(work, { cell, evalset: session.evalset, id })).length,
      0,
    );
    const total = tasks.length * session.cells.length;
    const read = async (event) => {
      const [chosen] = event.target.files;
      event.target.value = "";
      if (!chosen) return;
      try {
        keep(closerlook.imported(work, await chosen.text()));
        setNotice(`${chosen.name}: imported. The answers in the file replaced yours; the others are unchanged.`);
      } catch (error) {
        setNotice(`${chosen.name} was not imported: ${error.message}.`);
      }
    };
    const row = instructions.ids.indexOf(task.id);
    return html`<main id="main" class="annotate" tabindex="-1">
      <header class="bar noprint">
        <span><b>${index + 1}</b> / ${tasks.length} <span class="small">
          ${inspected} of ${closerlook.count(total, "answer")} inspected · ${closerlook.count(work.annotations.length, "span")} · ${work.annotator}
          </span></span>
        <progress max=${total} value=${inspected} aria-label="Answers inspected"></progress>
        <span class="steps"><button onClick=${() => go(index)} disabled=${index === 0}
          aria-label="Previous instruction (p)">←</button>
          <button class="first" onClick=${done}>Done, next (n)</button>
          <button onClick=${() => save(work)}>Export</button><button onClick=${() => file.current.click()}>Import
            </button>
          <input ref=${file} type="file" accept=".json,application/json" class="hidden" tabindex="-1"
            aria-label="File to import" onChange=${read} />
          <a class="button" href=${closerlook.link("annotate")}>Settings</a></span>
      </header>
      ${(notice || problem) && html`<p class="note" role="status">${notice} ${problem}</p>`}
      <section class="question" aria-label="Instruction"><p class="instruction" dir="auto">${instructions.instruction[row]}</p>
        ${instructions.reference[row] !== null && html`<details><summary>Reference answer</summary><p dir="auto"
          class="instruction">${instructions.reference[row]}</p></details>`}
        <p class="legend small">Select words in an answer, with the pointer or with Shift and the arrow keys, then say what is wrong with them. Done marks all answers as inspected and opens the next instruction.
          </p></section>
      <div class="answers">${answers.map(
        (
          answer,
          i,
        ) => html`<${closerlook.Blind} key=${`${task.id} ${i}`} name=${letter(i)}
          cell=${opened.find((cell) => cell.cell === answer.cell)} id=${task.id} opened=${opened}
        marks=${closerlook.marksOf(work, answer)} inspected=${closerlook.isInspected(work, answer)}
        onMarks=${(marks) => keep(closerlook.withMarks(closerlook.withInspected(work, answer, true), answer, marks))}
        onInspected=${(yes) => keep(closerlook.withInspected(work, answer, yes))} />`,
      )}</div>
    </main>`;
  }

  const save = (work) =>
    closerlook.save(`annotations-${work.preset}-${work.annotator}.json`, "application/json", closerlook.exported(work));
}
