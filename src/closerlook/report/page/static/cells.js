// One cell's answers on one evalset, unpacked: what belongs to each response, in code points.
"use strict";
{
  // Where the entries of each response begin in the columns that hold them one after the other.
  function offsets(counts) {
    const starts = new Uint32Array(counts.length + 1);
    counts.forEach((count, i) => (starts[i + 1] = starts[i] + count));
    return starts;
  }

  class Cell {
    constructor(facts, file) {
      Object.assign(this, facts);
      this.file = file;
      this.texts = file.texts;
      this.judges = file.judges;
      this.markers = file.markers;
      this.place = new Map(file.ids.map((id, place) => [id, place]));
      this.columns = file.columns;
      if (file.shift) {
        this.tokenStarts = offsets(this.columns.tokens);
        this.topStarts = offsets(this.columns.top);
      }
      if (file.words) {
        this.wordStarts = offsets(this.columns["words/of"]);
        this.wordCandidates = offsets(this.columns["words/candidates"]);
      }
      for (const marker of Object.values(this.markers)) index(marker);
    }

    // Pieces of the answer, in order: [start, end) and the tokens in it; more than one where tokens share a character.
    pieces(place) {
      if (!this.file.shift) return [];
      const pieces = [];
      let at = 0;
      let open = null;
      for (let token = this.tokenStarts[place]; token < this.tokenStarts[place + 1]; token++) {
        open = open || { start: at, tokens: [] };
        open.tokens.push(token);
        at += this.columns.start[token];
        if (this.columns.start[token]) {
          pieces.push({ ...open, end: at });
          open = null;
        }
      }
      if (open && pieces.length) pieces[pieces.length - 1].tokens.push(...open.tokens);
      for (const piece of pieces) piece.class = Math.max(...piece.tokens.map((t) => this.columns.class[t]));
      return pieces;
    }

    // One token's numbers; `top`: [text or null for the token itself, probability] of the base's first five (of an unshifted token, those above 5%).
    token(token) {
      const { class: classes, rank, prob, kl, top_ids: ids, top_probs: probs } = this.columns;
      const { steps } = closerlook.facts;
      const top = [];
      for (let i = this.topStarts[token]; i < this.topStarts[token + 1]; i++)
        top.push([ids[i] ? this.file.strings[ids[i] - 1] : null, (probs[i] / steps.top_probs) ** 2]);
      if (top.length < 5) top.splice(rank[token] - 1, 0, [null, (prob[token] / steps.prob) ** 2]); // itself was left out
      return {
        rank: rank[token],
        prob: (prob[token] / steps.prob) ** 2,
        kl: (kl[token] / steps.kl) ** 2,
        class: closerlook.facts.classes[classes[token]],
        top,
      };
    }

    // Shares of the classes among a response's tokens; null where it has none.
    shares(place) {
      if (!this.file.shift) return null;
      const counts = closerlook.facts.classes.map(() => 0);
      const [from, to] = [this.tokenStarts[place], this.tokenStarts[place + 1]];
      for (let token = from; token < to; token++) counts[this.columns.class[token]]++;
      return to > from ? counts.map((count) => count / (to - from)) : null;
    }

    // The marked spans of a response, of one marker or of all.
    spans(place, only) {
      const names = Object.keys(this.markers).filter((name) => !only || name === only);
      return names.flatMap((name) =>
        (this.markers[name].of.get(place) || []).map((span) => ({ ...span, marker: name })),
      );
    }

    // The candidates of a span, best first.
    candidates(span) {
      const column = (name) => this.columns[`trace/${span.marker}/${name}`];
      const count = span.trace ? span.trace[4] : 0;
      const { missing, rankers, scales } = closerlook.facts;
      const found = Array.from({ length: count }, (_, i) => {
        const at = span.first + i;
        const scaled = (name) => (column(name)[at] === missing ? null : column(name)[at] / scales[name]);
        return {
          instance: column("instance")[at],
          verbatim: Boolean(column("verbatim")[at]),
          shared: column("shared")[at],
          keyword: scaled("keyword"),
          semantic: scaled("semantic"),
          bm25: scaled("bm25"),
          ranks: Object.fromEntries(rankers.map((name) => [name, column(`rank_${name}`)[at]])),
        };
      });
      return found.sort((a, b) => (a.ranks.fused || Infinity) - (b.ranks.fused || Infinity));
    }

    // The shifted and marginal words of a response that were looked for in the dataset.
    words(place) {
      if (!this.file.words) return [];
      const column = (name) => this.columns[`words/${name}`];
      const words = [];
      for (let word = this.wordStarts[place]; word < this.wordStarts[place + 1]; word++) {
        const start = column("start")[word];
        const run = start - column("run_before")[word];
        words.push({
          start,
          end: start + column("length")[word],
          instances: column("instances")[word],
          longest: column("longest")[word],
          run: [run, run + column("run_length")[word]],
          candidates: Array.from(
            column("candidate").subarray(this.wordCandidates[word], this.wordCandidates[word + 1]),
          ),
        });
      }
      return words;
    }

    score(place, judge, aspect) {
      const verdicts = this.judges[judge];
      const column = verdicts ? verdicts.aspects.indexOf(aspect) : -1;
      return column < 0 ? null : verdicts.scores[place][column];
    }
  }

  // A marker's spans by response, each with where its candidates begin.
  function index(marker) {
    marker.of = new Map();
    let first = 0;
    for (const [place, start, end, kind, note, origin, trace] of marker.spans) {
      if (!marker.of.has(place)) marker.of.set(place, []);
      marker.of.get(place).push({ start, end, kind, note, origin, trace, first });
      first += trace ? trace[4] : 0;
    }
  }

  const opened = new Map();

  // The cell of a row of the grid, fetched when it is first shown.
  closerlook.openCell = (row) => {
    if (!opened.has(row.file))
      opened.set(
        row.file,
        closerlook.load(row.file).then((file) => new Cell(row, file)),
      );
    return opened.get(row.file);
  };

  // The instances `numbers` of a dataset: a map from number to [id, instruction, response].
  closerlook.openInstances = async (dataset, numbers) => {
    const { datasets, shard } = closerlook.facts;
    const files = datasets[dataset] ? datasets[dataset].files : [];
    const found = new Map();
    for (const number of numbers) {
      const file = files[Math.floor(number / shard)];
      if (file) found.set(number, (await closerlook.load(file)).instances[number % shard]);
    }
    return found;
  };

  // base, lft and sft of one model and dataset where they are there, else the first three that have answers.
  closerlook.defaultCells = (evalset) => {
    const rows = closerlook.facts.cells.filter((row) => row.evalset === evalset && row.file);
    const like = (row, method) =>
      rows.find(
        (other) =>
          other.method === method && ["model", "dataset", "size", "seed"].every((key) => other[key] === row[key]),
      );
    const lead =
      rows.find((row) => row.dataset && row.method === "lft" && like(row, "sft")) || rows.find((row) => row.dataset);
    if (!lead) return rows.slice(0, 3).map((row) => row.cell);
    const base = rows.find((row) => row.method === "base" && row.model === lead.model);
    return [base, lead, like(lead, "sft")]
      .filter((row, i, all) => row && all.indexOf(row) === i)
      .map((row) => row.cell);
  };
}
