// One cell's responses on one evalset, by their index in the data file. All offsets are in code points.
"use strict";
{
  // Where each response's entries begin in columns that hold the entries of all responses.
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
      this.indexById = new Map(file.ids.map((id, index) => [id, index]));
      this.columns = file.columns;
      if (file.shift) {
        this.tokenStarts = offsets(this.columns.tokens);
        this.topStarts = offsets(this.columns.top);
      }
      if (file.words) {
        this.wordStarts = offsets(this.columns["words/of"]);
        this.wordCandidates = offsets(this.columns["words/candidates"]);
      }
      for (const marker of Object.values(this.markers)) indexSpans(marker);
    }

    // The response in pieces, [start, end) with the tokens in it: one token, or more if they share a character.
    pieces(index) {
      if (!this.file.shift) return [];
      const pieces = [];
      let end = 0;
      let open = null;
      for (let token = this.tokenStarts[index]; token < this.tokenStarts[index + 1]; token++) {
        open = open || { start: end, tokens: [] };
        open.tokens.push(token);
        end += this.columns.start[token];
        if (this.columns.start[token]) {
          pieces.push({ ...open, end });
          open = null;
        }
      }
      if (open && pieces.length) pieces[pieces.length - 1].tokens.push(...open.tokens);
      for (const piece of pieces) piece.class = Math.max(...piece.tokens.map((t) => this.columns.class[t]));
      return pieces;
    }

    // One token's numbers. `top`: [text or null for the token itself, probability] of the base model's top five, as far as stored.
    token(token) {
      const { class: classes, rank, prob, kl, top_ids: ids, top_probs: probs } = this.columns;
      const { steps } = closerlook.facts;
      const top = [];
      for (let i = this.topStarts[token]; i < this.topStarts[token + 1]; i++)
        top.push([ids[i] ? this.file.strings[ids[i] - 1] : null, (probs[i] / steps.top_probs) ** 2]);
      if (top.length < 5) top.splice(rank[token] - 1, 0, [null, (prob[token] / steps.prob) ** 2]); // the token itself is not stored
      return {
        rank: rank[token],
        prob: (prob[token] / steps.prob) ** 2,
        kl: (kl[token] / steps.kl) ** 2,
        class: closerlook.facts.classes[classes[token]],
        top,
      };
    }

    // The share of each class among a response's tokens; null without tokens.
    shares(index) {
      if (!this.file.shift) return null;
      const counts = closerlook.facts.classes.map(() => 0);
      const [from, to] = [this.tokenStarts[index], this.tokenStarts[index + 1]];
      for (let token = from; token < to; token++) counts[this.columns.class[token]]++;
      return to > from ? counts.map((count) => count / (to - from)) : null;
    }

    // The marked spans of a response, of one marker or of all.
    spans(index, marker) {
      const names = Object.keys(this.markers).filter((name) => !marker || name === marker);
      return names.flatMap((name) =>
        (this.markers[name].byResponse.get(index) || []).map((span) => ({ ...span, marker: name })),
      );
    }

    // The candidates of a span, best first.
    candidates(span) {
      const column = (name) => this.columns[`trace/${span.marker}/${name}`];
      const count = span.trace ? span.trace[4] : 0;
      const { missing, rankers, scales } = closerlook.facts;
      const candidates = Array.from({ length: count }, (_, i) => {
        const row = span.first + i;
        const scaled = (name) => (column(name)[row] === missing ? null : column(name)[row] / scales[name]);
        return {
          instance: column("instance")[row],
          verbatim: Boolean(column("verbatim")[row]),
          shared: column("shared")[row],
          keyword: scaled("keyword"),
          semantic: scaled("semantic"),
          bm25: scaled("bm25"),
          ranks: Object.fromEntries(rankers.map((name) => [name, column(`rank_${name}`)[row]])),
        };
      });
      return candidates.sort((a, b) => (a.ranks.fused || Infinity) - (b.ranks.fused || Infinity));
    }

    // The shifted and marginal words of a response that were looked up in the dataset.
    words(index) {
      if (!this.file.words) return [];
      const column = (name) => this.columns[`words/${name}`];
      const words = [];
      for (let word = this.wordStarts[index]; word < this.wordStarts[index + 1]; word++) {
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

    score(index, judge, aspect) {
      const verdicts = this.judges[judge];
      const column = verdicts ? verdicts.aspects.indexOf(aspect) : -1;
      return column < 0 ? null : verdicts.scores[index][column];
    }
  }

  // Adds to a marker its spans by response, each with the first row of its candidates.
  function indexSpans(marker) {
    marker.byResponse = new Map();
    let first = 0;
    for (const [index, start, end, kind, note, origin, trace] of marker.spans) {
      if (!marker.byResponse.has(index)) marker.byResponse.set(index, []);
      marker.byResponse.get(index).push({ start, end, kind, note, origin, trace, first });
      first += trace ? trace[4] : 0;
    }
  }

  const opened = new Map();

  // The cell of a row of the grid, loaded when it is first shown.
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
    const instances = new Map();
    for (const number of numbers) {
      const file = files[Math.floor(number / shard)];
      if (file) instances.set(number, (await closerlook.load(file)).instances[number % shard]);
    }
    return instances;
  };

  // base, lft and sft of one model and dataset if they have responses, else the first three cells that have.
  closerlook.defaultCells = (evalset) => {
    const rows = closerlook.facts.cells.filter((row) => row.evalset === evalset && row.file);
    const withMethod = (row, method) =>
      rows.find(
        (other) =>
          other.method === method && ["model", "dataset", "size", "seed"].every((key) => other[key] === row[key]),
      );
    const lft =
      rows.find((row) => row.dataset && row.method === "lft" && withMethod(row, "sft")) || rows.find((row) => row.dataset);
    if (!lft) return rows.slice(0, 3).map((row) => row.cell);
    const base = rows.find((row) => row.method === "base" && row.model === lft.model);
    return [base, lft, withMethod(lft, "sft")]
      .filter((row, i, all) => row && all.indexOf(row) === i)
      .map((row) => row.cell);
  };
}
