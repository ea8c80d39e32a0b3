"""A results folder under the real schemas, made up: any size, hostile texts among its answers, the same for the same seed."""

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from closerlook.core import layout
from closerlook.core.files import write_csv, write_json, write_parquet, write_text
from closerlook.core.schemas import BORROWING, EVALSET, INSTANCES, RESPONSES, SHIFT, SPANS, TRACE, VERDICTS, WORDS
from closerlook.report.tables.registry import IDENTITY, TABLES, VALUE
from tests.support.grid import write_rows

HOSTILE = [
    " <script>window.hacked=1</script>",
    '</script><img src=x onerror="window.hacked=1">',
    " 😀👩‍🔬",
    " cafe\u0301",
    " שלום עולם",
    "\u2028",
    "\n\n",
    "\u202e",
    " “closerlook.put(",
]
"""Tokens of the first answer of every cell."""
ASPECTS = ["helpfulness", "clarity", "factuality"]
TUNED = ("lft", "sft")
FIRST_ID = "q/0"
HUGE_ID, EMPTY_ID = "q/1", "q/2"
CLAIM_COLUMNS = [*IDENTITY, "scope", "claim", "decided_from", "decision", *VALUE]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="80"><rect width="300" height="80" fill="#0072b2"/></svg>\n'


class MadeResults:
    """Writes the folder: `responses` answers of about `tokens` tokens of each cell of `datasets` x lft, sft, and of base."""

    def __init__(self, path: Path, *, responses: int, tokens: int, datasets: tuple[str, ...], vocabulary: int) -> None:
        self.path, self.tokens, self.random = path, tokens, np.random.default_rng(7)
        letters = np.array(list("abcdefghiklmnoprstuvw"))
        made = {"".join(self.random.choice(letters, size)) for size in self.random.integers(2, 9, 2 * vocabulary)}
        self.strings = np.array([*HOSTILE, *(f" {word}" for word in sorted(made)[:vocabulary])], dtype=object)
        self.ids = [f"q/{number}" for number in range(responses)]
        self.cumulative = np.cumsum(1 / np.arange(1, len(self.strings) - len(HOSTILE) + 1))
        self.evalset()
        self.model()
        rows = []
        for dataset in datasets:
            self.dataset(dataset)
            rows += [self.row(dataset, method) for method in TUNED]
        rows.append(self.row("", "base"))
        write_rows(rows, path)
        for row in rows:
            self.cell(row)
        self.tables()

    def row(self, dataset: str, method: str) -> dict[str, Any]:
        """A row of the grid."""
        cell = f"tiny/{dataset or 'none'}/{method}"
        identity = {
            "cell": cell,
            "model": "tiny",
            "dataset": dataset,
            "size": 1000 if dataset else None,
            "method": method,
        }
        searched = [dataset] if dataset else []
        at = (cell, "ask")
        stages = [
            ("train", layout.manifest(cell)),
            ("generate", layout.responses(*at)),
            ("shift", layout.shift(*at)),
            ("judge-gpt", layout.verdicts(*at, "gpt")),
            ("spans-oracle", layout.spans(*at, "oracle")),
            ("words", layout.words(*at)),
            ("borrowing", layout.borrowing(*at)),
            ("trace-oracle", layout.trace(*at, "oracle")),
        ]
        if not dataset:
            stages = [stages[1], *stages[3:5]]
        rest = {"evalset": "ask", "judges": ["gpt"], "markers": ["oracle"], "searched": searched, "stages": stages}
        return identity | rest

    def draw(self, size: int) -> np.ndarray:
        """Token ids as frequent as words are."""
        return len(HOSTILE) + np.searchsorted(self.cumulative, self.random.random(size) * self.cumulative[-1])

    def text(self, size: int) -> str:
        """A text of so many tokens."""
        return "".join(self.strings[self.draw(size)]).strip()

    def evalset(self) -> None:
        """Instructions, the first one hostile."""
        rows = [
            {
                "id": id_,
                "instruction": HOSTILE[0] + " and 😀 what?" if number == 0 else f"Question {number}: {self.text(12)}?",
                "task_types": ["math" if number % 3 else "writing"],
                "topics": ["humanities"],
                "reference": self.text(9) if number % 2 else None,
                "source": "ask",
            }
            for number, id_ in enumerate(self.ids)
        ]
        write_parquet(rows, EVALSET, self.path / "evalsets/ask.parquet")

    def model(self) -> None:
        """A tokenizer whose tokens say what `strings` say."""
        words = models.WordLevel(
            {word: number for number, word in enumerate([*self.strings, "<eos>"])}, unk_token="<eos>"
        )
        tokenizer = Tokenizer(words)
        tokenizer.decoder = decoders.Fuse()
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>").save_pretrained(
            self.path / "models/tiny"
        )
        write_json({"model_type": "llama"}, self.path / "models/tiny/config.json")

    def dataset(self, name: str) -> None:
        """Instances, the first one hostile."""
        rows = [
            {
                "id": f"{name}-{number:04}",
                "instruction": "Say <script>window.hacked=1</script>" if number == 0 else self.text(15),
                "response": self.text(90),
                "source": name,
                "row": number,
            }
            for number in range(300)
        ]
        write_parquet(rows, INSTANCES, self.path / f"data/{name}.parquet")

    def cell(self, row: dict[str, Any]) -> None:
        """Everything of a cell."""
        folder = self.path / "cells" / row["cell"] / "ask"
        sizes = self.random.integers(self.tokens // 2, self.tokens * 3 // 2 + 1, len(self.ids))
        sizes[0], sizes[1], sizes[2] = len(HOSTILE) + 6, 18000 if row["method"] == "lft" else 5, 0
        ends = np.cumsum(sizes)
        flat = self.draw(int(ends[-1]))
        flat[: sizes[0] - 6] = np.arange(len(HOSTILE))
        pieces = [flat[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        texts = ["".join(self.strings[piece]) for piece in pieces]
        responses = {
            "id": self.ids,
            "prompt": ["?"] * len(texts),
            "prompt_token_ids": [[0]] * len(texts),
            "token_ids": pieces,
            "text": texts,
            "finish_reason": ["length" if size == 0 else "eos" for size in sizes],
        }
        write_parquet(pa.table(responses, RESPONSES), RESPONSES, folder / "responses.parquet")
        self.verdicts(folder)
        if row["dataset"]:
            write_json({}, self.path / "cells" / row["cell"] / "manifest.json")
            self.shift(folder, sizes, flat)
            self.traces(folder, row["dataset"], texts)
        else:
            write_parquet([], SPANS, folder / "spans/oracle.parquet")

    def shift(self, folder: Path, sizes: np.ndarray, flat: np.ndarray) -> None:
        """Three in four tokens are the base's first, as after LoRA; probabilities fall off as a language model's do."""
        count = len(flat)
        rank = np.where(self.random.random(count) < 0.75, 1, self.random.geometric(0.15, count) + 1)
        rank = np.where(rank > 20, rank**2, rank)
        first = self.random.beta(2, 0.7, count)
        tail = self.random.beta(1.2, 1.6, (count, 4)).cumprod(axis=1) * (1 - first)[:, None]
        probs = np.column_stack([first, tail])
        ids = np.column_stack([self.draw(count) for _ in range(5)])
        # one token in fifty is another than the tuned model's first, whose rank and probability are told
        listed = np.flatnonzero((rank <= 5) & (np.arange(count) % 50 > 0))
        ids[listed, rank[listed] - 1] = flat[listed]
        lengths = np.array([len(text) for text in self.strings])[flat]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        starts = np.concatenate([np.cumsum([0, *lengths[a:b]])[:-1] for a, b in pairwise(offsets)])

        def lists(values: np.ndarray, kind: pa.DataType) -> pa.Array:
            return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values, kind))

        def fives(values: np.ndarray, kind: pa.DataType) -> pa.Array:
            inner = pa.ListArray.from_arrays(
                pa.array(np.arange(0, 5 * count + 1, 5), pa.int32()), pa.array(values.ravel(), kind)
            )
            return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner)

        kl = self.random.gamma(0.6, 0.9, count)
        nothing, zeros = lists(np.zeros(count), pa.float32()), lists(np.zeros(count, int), pa.int32())
        columns = {
            "id": self.ids,
            "token_ids": lists(flat, pa.int32()),
            "kl_base_tuned": lists(kl, pa.float32()),
            "kl_tuned_base": nothing,
            "base_prob": lists(
                np.where(rank <= 5, probs[np.arange(count), np.minimum(rank, 5) - 1], probs[:, -1] / rank), pa.float32()
            ),
            "tuned_prob": nothing,
            "base_rank": lists(rank, pa.int32()),
            "tuned_token": lists(flat, pa.int32()),
            "class": lists(np.array(["unshifted", "marginal", "shifted"])[np.digitize(rank, [2, 4])], pa.string()),
            "base_top5_ids": fives(ids, pa.int32()),
            "base_top5_probs": fives(probs, pa.float32()),
            "token_start": lists(starts, pa.int32()),
        }
        columns |= {
            name: nothing if "rank" not in name else zeros for name in SHIFT.names if name.startswith("aligntds")
        }
        columns |= dict.fromkeys(("sentence", "sentence_token", "sentence_length"), zeros)
        write_parquet(pa.table([columns[name] for name in SHIFT.names], SHIFT), SHIFT, folder / "shift.parquet")

    def verdicts(self, folder: Path) -> None:
        """A score of every aspect, some refused."""
        count = len(self.ids) * len(ASPECTS)
        scores = [int(score) if score else None for score in self.random.integers(0, 6, count)]
        table = {
            "id": [id_ for id_ in self.ids for _ in ASPECTS],
            "aspect": ASPECTS * len(self.ids),
            "score": scores,
            "null_cause": [None if score else "refused" for score in scores],
            "reason": [f"<b>{self.text(14)}</b>" for _ in scores],
            "judge": ["gpt@2024/prompt 0123abcd"] * count,
        }
        write_parquet(pa.table(table, VERDICTS), VERDICTS, folder / "verdicts/gpt.parquet")

    def traces(self, folder: Path, dataset: str, texts: list[str]) -> None:
        """A span in every second answer, traced; some twenty words of every answer; counts of borrowing."""
        spans, traces, words = [], [], []
        for id_, text in zip(self.ids, texts, strict=True):
            places = [place for place, character in enumerate(text) if character == " "][:60]
            if len(places) < 8:
                continue
            if int(id_[2:]) % 2 == 0:
                start, end = places[2] + 1, places[5]
                spans.append(
                    [id_, start, end, text[start:end], "not factual", None, "It is <b>not</b> so.", None, "oracle/1"]
                )
                for rank in range(1, 11):
                    instance = f"{dataset}-{self.random.integers(300):04}"
                    ranks = [
                        rank if name != "rank_gradient" else None for name in TRACE.names if name.startswith("rank_")
                    ]
                    known, scores = [3, 4, 2, 0.031, instance, rank == 1, 2], [0.4, -0.1, 0.03, 0.02, 7.5, None, 0.03]
                    traces.append([id_, start, end, dataset, *known, *scores, *ranks])
            for a, b in zip(places[:-1:2], places[1::2], strict=False):
                found = [
                    f"{dataset}-{number:04}" for number in self.random.integers(0, 300, self.random.integers(0, 4))
                ]
                words.append(
                    [id_, a + 1, b, "shifted", 5 * len(found), min(1, len(found)), a + 1, b, [], [], None, found]
                )
        for rows, schema, name in (
            (spans, SPANS, "spans/oracle"),
            (traces, TRACE, "trace/oracle"),
            (words, WORDS, "words"),
        ):
            columns = [
                pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)
            ]
            write_parquet(pa.table(columns, schema), schema, folder / f"{name}.parquet")
        counts = [
            {
                "id": id_,
                "searched": dataset,
                "unit": unit,
                "ngram": 1,
                "where": "all",
                "null": null,
                "draw": 0,
                "found": found,
                "phrases": 20,
            }
            for id_ in self.ids
            for unit in ("shifted", "unshifted")
            for null, found in (("observed", 16), ("matched", 13))
        ]
        write_parquet(counts, BORROWING, folder / "borrowing.parquet")

    def tables(self) -> None:
        """Claims, a table that no registry knows, with hostile text, and a figure."""
        claims = ["LFT has more factuality than SFT on the same data", "<script>window.hacked=1</script>"]
        columns = list(TABLES["claims"].columns) if "claims" in TABLES else CLAIM_COLUMNS
        known = {
            "model": "tiny",
            "dataset": "d1",
            "size": "1000",
            "evalset": "ask",
            "value": "0.4",
            "n": "800",
            "n_null": "0",
        }
        decided = (("ours", "holds"), ("paper", "does not hold"))
        answer = {"scope": "all pairs", "metric": "mean_effect", "value": "0.4"}
        rows = [
            (known if scope == "pair" else answer)
            | {"scope": scope, "claim": claim, "decided_from": source, "decision": decision}
            | {"metric": "effect" if scope == "pair" else "mean_effect"}
            for claim in claims
            for source, decision in decided
            for scope in ("all pairs", "pair")
        ]
        write_csv(
            ({name: row.get(name, "") for name in columns} for row in rows), columns, self.path / "tables/claims.csv"
        )
        with (self.path / "tables/odd_ones.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["name", "text", "value"])
            writer.writerows(
                [[f"n{number % 3}", HOSTILE[number % len(HOSTILE)], f"{(number * 37) % 11}.5"] for number in range(40)]
            )
            writer.writerow(["n0", "empty", ""])
        write_text(SVG, self.path / "figures/odd_figure.svg")


def small(path: Path) -> Path:
    """Twelve answers of three cells."""
    MadeResults(path, responses=12, tokens=40, datasets=("d1",), vocabulary=300)
    return path


def large(path: Path) -> Path:
    """800 answers of six cells and of base, some 150 tokens each."""
    MadeResults(path, responses=800, tokens=150, datasets=("d1", "d2", "d3"), vocabulary=30000)
    return path
