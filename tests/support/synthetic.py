"""Synthetic results folders: the files that earlier stages write, drawn at random from a fixed seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from closerlook.core.files import write_json, write_parquet, write_text
from closerlook.core.schemas import CONTAMINATION, EVALSET, INSTANCES, RESPONSES, SHIFT, VERDICTS
from closerlook.judge.aspects import ASPECTS
from tests.support.grid import write_rows

WORDS = [
    "Ġthe",
    "Ġa",
    "The",
    "|",
    "`",
    "<b>",
    "\\",
    "$",
    "Ċ",
    "Ġ_x_",
    "%",
    "&",
    "ðŁĺĢ",
    "ðŁĺ",
    "Ã©",
    "#",
    "~",
    "^",
    "{",
    "Ġ",
]
"""The vocabulary, as byte-level BPE writes it: spaces, a newline, an emoji, half an emoji, an accent, markup of every sort."""

JUDGES = ("alpha", "beta")


class Folder:
    """A results folder under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def cell(self, subset: str, method: str, evalset: str = "ask", model: str = "tiny", seed: int = 0) -> Path:
        """Enter a cell into the grid; returns its folder for the evalset."""
        dataset, _, size = subset.partition("@")
        run = f"{method}-s{seed}" if seed else method
        row = {
            "cell": f"{model}/{subset or 'none'}/{run}",
            "model": model,
            "dataset": dataset,
            "method": method,
            "seed": seed,
        }
        row |= {"size": int(size.replace("k", "000")) if size else None, "evalset": evalset, "judges": list(JUDGES)}
        self.rows.append(row)
        write_rows(self.rows, self.path)
        return self.path / "cells" / row["cell"] / evalset

    def tokenizer(self, model: str = "tiny") -> PreTrainedTokenizerFast:
        """A byte-level tokenizer of WORDS, saved where the tables look for it."""
        vocabulary = {
            word: i
            for i, word in enumerate(dict.fromkeys(["</s>", *WORDS, *sorted(pre_tokenizers.ByteLevel.alphabet())]))
        }
        core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
        core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")
        tokenizer.save_pretrained(self.path / "models" / model)
        write_json({"model_type": "llama"}, self.path / "models" / model / "config.json")
        return tokenizer


def shift_row(id_: str, **lists: list) -> dict[str, Any]:
    """A row of shift.parquet: given lists as they are, the others in keeping with `base_rank` and of the same length."""
    length = len(next(iter(lists.values())))
    rank = lists.get("base_rank", [1] * length)
    row = {
        name: [0] * length for name in SHIFT.names if name not in ("id", "class", "base_top5_ids", "base_top5_probs")
    }
    classes = ["unshifted" if r == 1 else "marginal" if r <= 3 else "shifted" for r in rank]
    fives = {"base_top5_ids": [[0] * 5] * length, "base_top5_probs": [[0.2] * 5] * length}
    return {"id": id_, **row, "class": classes, **fives, "base_rank": rank, "sentence_length": [1] * length, **lists}


def random_shift(seed: int, responses: int, scale: float = 1.0, vocabulary: int = 20) -> list[dict[str, Any]]:
    """Rows of shift.parquet with heavy-tailed ranks, sentences of random length, and some empty responses."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(responses):
        lengths = rng.integers(1, 45, rng.integers(0, 5))
        n = int(lengths.sum())
        token = [t for m in lengths for t in range(m)]
        start = 1 + 2 * (np.array(token) == 0) if n else np.ones(0)
        rows.append(
            shift_row(
                str(i),
                token_ids=(rng.zipf(1.3, n) % vocabulary + 1).tolist(),
                kl_base_tuned=(rng.exponential(0.2 * scale, n) * start).tolist(),
                kl_tuned_base=(rng.exponential(0.3 * scale, n) * start).tolist(),
                base_prob=rng.beta(4, 1 + scale, n).tolist(),
                base_rank=np.minimum(rng.zipf(3 - min(scale, 3) / 2.5, n), 260_000).tolist(),
                sentence=[s for s, m in enumerate(lengths) for _ in range(m)],
                sentence_token=token,
                sentence_length=[int(m) for m in lengths for _ in range(m)],
                aligntds_kl_base_tuned=rng.normal(0.1 * scale, 0.1, n).tolist(),
                aligntds_base_rank=np.minimum(rng.zipf(2, n) - 1, 30).tolist(),
            )
        )
    return rows


def random_responses(seed: int, responses: int, mean: float = 30) -> list[dict[str, Any]]:
    """Rows of responses.parquet."""
    rng = np.random.default_rng(seed)
    reasons = rng.choice(["eos", "stop", "length"], responses, p=[0.8, 0.1, 0.1])
    lengths = rng.poisson(mean, responses)
    return [
        {
            "id": str(i),
            "prompt": "?",
            "prompt_token_ids": [1],
            "token_ids": [1] * n,
            "text": " the" * n,
            "finish_reason": reason,
        }
        for i, (n, reason) in enumerate(zip(lengths.tolist(), reasons.tolist(), strict=True))
    ]


def random_verdicts(
    seed: int, responses: int, mean: float = 3.5, aspects: tuple[str, ...] = ASPECTS, null: float = 0.1
) -> list[dict[str, Any]]:
    """Rows of verdicts/<judge>.parquet: scores about `mean`, and nulls of every cause."""
    rng = np.random.default_rng(seed)
    causes = ("refused", "unparsable", "not applicable", "error")
    rows = []
    for i in range(responses):
        for aspect in aspects:
            score = int(np.clip(rng.normal(mean, 1), 1, 5).round())
            cause = str(rng.choice(causes)) if rng.random() < null else None
            rows.append(verdict_row(str(i), aspect, None if cause else score, cause))
    return rows


def verdict_row(
    id_: str, aspect: str, score: int | None, cause: str | None = None, judge: str = "v1"
) -> dict[str, Any]:
    """A row of verdicts/<judge>.parquet."""
    return {"id": id_, "aspect": aspect, "score": score, "null_cause": cause, "reason": None, "judge": judge}


def judge(cell: Path, seed: int, responses: int, mean: float = 3.5) -> None:
    """Verdicts of both judges, the second of them milder."""
    for number, name in enumerate(JUDGES):
        rows = random_verdicts(1000 * number + seed, responses, mean + number / 2)
        write_parquet(rows, VERDICTS, cell / "verdicts" / f"{name}.parquet")


def instances(seed: int, rows: int, mean: float) -> list[dict[str, Any]]:
    """Rows of data/<dataset@size>.parquet."""
    lengths = np.random.default_rng(seed).poisson(mean, rows) + 1
    return [
        {"id": f"{i:016x}", "instruction": "?", "response": " the" * int(n), "source": "it", "row": i}
        for i, n in enumerate(lengths)
    ]


def fill(
    folder: Folder,
    subsets: tuple[str, ...],
    methods: tuple[str, ...],
    responses: int,
    evalset: str = "ask",
    seed: int = 0,
) -> None:
    """Every cell of subsets x methods, and once the controls base and icl, with all files that tables read."""
    folder.tokenizer()
    for i, subset in enumerate(subsets):
        mean = 20 * (1 + i)
        write_parquet(instances(i, 50, mean), INSTANCES, folder.path / "data" / f"{subset}.parquet")
        cleaning(folder, subset, evalset, responses)
        for j, method in enumerate(methods):
            cell, drawn = folder.cell(subset, method, evalset, seed=seed), 1000 * seed + 10 * i + j
            write_parquet(random_shift(drawn, responses, 0.6 + j), SHIFT, cell / "shift.parquet")
            write_parquet(random_responses(drawn, responses, mean * (1 + j / 4)), RESPONSES, cell / "responses.parquet")
            training(cell.parent)
            judge(cell, drawn, responses, 3 + i / 4 - j / 2)
    if any(row["method"] == "base" for row in folder.rows):
        return
    for number, method in enumerate(("base", "icl")):
        cell = folder.cell("", method, evalset)
        write_parquet(random_responses(99, responses), RESPONSES, cell / "responses.parquet")
        judge(cell, 99 + number, responses, 2 + number)


def training(cell: Path, final_loss: float = 0.5) -> None:
    """A cell's manifest and log, with a clock in both, which no table may show."""
    counts = {"rows": 50, "used": 48, "cut_by_max_length": 3, "dropped_prompt_too_long": 2}
    facts = {
        "data": counts,
        "steps": 2,
        "parameters": {"total": 9000, "trainable": 1234},
        "tokens": 5000,
        "trained_tokens": 2500,
    }
    write_json(facts | {"final_loss": final_loss, "wall_seconds": 12.345}, cell / "manifest.json")
    lines = [{"step": 1, "loss": 2.0, "seconds": 12.3}, {"step": 2, "loss": final_loss, "seconds": 0.045}]
    write_text("".join(json.dumps(line) + "\n" for line in lines), cell / "train_log.jsonl")


def cleaning(folder: Folder, subset: str, evalset: str, questions: int = 7) -> None:
    """A dataset's report, an evalset, and pairs that both ask: one in the first rows, one in later ones."""
    dataset = subset.partition("@")[0]
    dropped = {"malformed": 1, "empty_instruction": 0, "duplicate": 2}
    report = {"rows_read": 103, "rows_kept": 100, "dropped": dropped, "noted": {"single_turn": 4}}
    write_json(report, folder.path / "data" / f"{dataset}.report.json")
    asked = {"instruction": "?", "topics": [], "reference": None, "source": evalset}
    types = (["math"], ["coding", "math"], [])
    rows = [{"id": str(i), "task_types": types[i % 3]} | asked for i in range(questions)]
    write_parquet(rows, EVALSET, folder.path / "evalsets" / f"{evalset}.parquet")
    pairs = [
        {"evalset_id": "0", "instance_id": f"{0:016x}", "match": "exact", "similarity": 1.0},
        {"evalset_id": "0", "instance_id": f"{1:016x}", "match": "near", "similarity": 0.9},
        {"evalset_id": "1", "instance_id": f"{1:016x}", "match": "near", "similarity": 0.9},
        {"evalset_id": "2", "instance_id": f"{99:016x}", "match": "exact", "similarity": 1.0},
    ]
    write_parquet(pairs, CONTAMINATION, folder.path / "data" / "contamination" / dataset / f"{evalset}.parquet")


WHOLE = [f"answer {i} is a sentence of its own with nothing said twice".split() for i in range(20)]
LOOP = ["the", "same", "again", "and"] * 9


def response(i: int, words: list[str], reason: str = "eos") -> dict[str, Any]:
    ids = [sum(map(ord, word)) for word in words]
    text = " ".join(words)
    prompt = {"prompt": "?", "prompt_token_ids": [1]}
    return {"id": str(i), **prompt, "token_ids": ids, "text": text, "finish_reason": reason}
