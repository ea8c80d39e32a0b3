"""Cells of which it is known which claims hold, and the claims table made from them."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from closerlook.core.files import write_csv, write_parquet
from closerlook.core.schemas import BENCHMARK, BORROWING, INSTANCES, RESPONSES, SHIFT, SPANS, VERDICTS
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables.build import build
from closerlook.report.tables.claims import CLAIMS_DECIDED
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from tests.support.grid import write_rows
from tests.support.synthetic import Folder, random_responses, shift_row

TABLE = CLAIMS_DECIDED
UNITS = (("span:oracle", 0, 1), ("shifted", 1, 3))
"""Kinds of phrases: unit, n-gram length, number in a response."""
N = 200
"""Responses of a cell."""
RNG = np.random.default_rng(5)


def verdicts(level: np.ndarray, path: Path) -> None:
    """Write scores of every aspect: the levels, rounded; the eighth response has none."""
    rows = []
    for i, score in enumerate(np.clip(np.rint(level), 1, 5).astype(int).tolist()):
        known = {"score": None, "null_cause": "refused"} if i == 7 else {"score": score, "null_cause": None}
        rows += [{"id": str(i), "aspect": a, "reason": None, "judge": "j@1/prompt 0"} | known for a in ASPECTS]
    write_parquet(rows, VERDICTS, path)


def shift(first: float, rest: float, shifted: float, path: Path) -> None:
    rows = []
    for i in range(N):
        length = int(RNG.integers(15, 20))  # one first token, and the rest
        kl = [first, *[rest] * (length - 1)]
        ranks = np.where(RNG.random(length) < shifted, 9, 1).tolist()
        noisy = (np.array(kl) * RNG.uniform(0.8, 1.2, length)).tolist()
        places = {"sentence_token": list(range(length)), "sentence_length": [length] * length}
        rows.append(shift_row(str(i), token_ids=[1] * length, kl_base_tuned=noisy, base_rank=ranks, **places))
    write_parquet(rows, SHIFT, path)


def answers(mean: float, path: Path) -> None:
    row = random_responses(0, 1)[0]
    texts = {str(i): "x" * int(n) for i, n in enumerate(RNG.poisson(mean, N))}
    write_parquet([row | {"id": id_, "text": text} for id_, text in texts.items()], RESPONSES, path)


def data(mean: int, path: Path) -> None:
    row = {"instruction": "?", "response": "x" * mean, "source": "it"}
    write_parquet([row | {"id": str(i), "row": i} for i in range(20)], INSTANCES, path)


def borrowed(share: float, chance: float, similar: float, searched: list[str], path: Path) -> None:
    """Write one span in each response but the first, three shifted words, and counts of other kinds, which must not be read.

    similar: share of spans that similar instances contain; those similar to other instructions contain 0.2.
    """
    rows = []
    for i, subset, (unit, ngram, phrases) in product(range(1, N), searched, UNITS):
        row = {"id": str(i), "searched": subset, "unit": unit, "ngram": ngram, "where": "all", "draw": 0}
        row["phrases"] = phrases
        found = {"found": int(RNG.binomial(phrases, share))}
        rows += [row | {"null": null} | found for null in ("observed", "tuned_on")]
        rows += [row | {"null": null, "found": 0} for null in ("tuned_on_small", "held_out_small")]  # p is no claim's
        for draw in range(3):
            rows.append(row | {"null": "held_out", "draw": draw, "found": int(RNG.binomial(phrases, chance))})
        for null, rate in (("observed", similar), ("permuted", 0.2)):
            rows.append(row | {"where": "similar", "null": null, "found": int(RNG.binomial(phrases, rate))})
        row |= {"null": "observed", "found": 5, "phrases": 5}
        others = ({"unit": "marginal"}, {"ngram": 2}, {"null": "unrelated"}, {"null": "matched"}, {"searched": "x"})
        rows += [row | change for change in others]
    write_parquet(rows, BORROWING, path)


def marked(mean: float, path: Path) -> None:
    """Write a number of one-character spans in each response; the third was refused."""
    blank = dict.fromkeys(SPANS.names) | {"marker": "oracle@1"}
    rows = []
    for i, count in enumerate(np.minimum(RNG.poisson(mean, N), 5).tolist()):
        span = {"quote": "x", "kind": "not factual"}
        spans = [blank | span | {"id": str(i), "start": n, "end": n + 1} for n in range(count)]
        rows += [blank | {"id": str(i), "null_cause": "refused"}] if i == 2 else spans
    write_parquet(rows, SPANS, path)


def answered(share: float, path: Path) -> None:
    """Write the items of a benchmark, of which a share is answered right: two about each subject."""
    row = {"log_probs": [], "tokens": [1], "bytes": [], "answer": None, "prediction": "x", "correct_per_byte": None}
    luck = np.random.default_rng(3).random(2 * N)  # the same items are hard for all
    correct = (luck < share).tolist()
    rows = [
        row | {"id": str(i), "subject": str(i // 2), "cut": False, "score": float(right), "correct": right}
        for i, right in enumerate(correct)
    ]
    write_parquet(rows, BENCHMARK, path)


def broken(cells: list[str], folder: Folder) -> None:
    """Write the table `collapse`, in which these cells have collapsed."""
    table = TABLES["collapse"]
    blank = dict.fromkeys(table.columns, "") | {"ci_low": None, "ci_high": None, "n": N, "n_null": 0}
    identities = [blank | {k: v for k, v in row.items() if k in table.columns} for row in folder.rows]
    values = [float(row["cell"] in cells) for row in folder.rows]
    rows = [row | {"metric": "collapsed", "value": value} for row, value in zip(identities, values, strict=True)]
    rows += [row | {"metric": "repetitive", "value": 0.4} for row in identities]
    write_csv(rows, table.columns, folder.path / "tables/collapse.csv")


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """LFT better than SFT, which shifts more and copies lengths; on `bad` the other way round; `same` are twins."""
    folder = Folder(tmp_path_factory.mktemp("claims"))
    levels = RNG.normal(3, 0.7, N)
    cells = {
        # dataset@size, method: (mean score above, KL first, KL rest, share shifted, mean length, right on the benchmark)
        ("good@1k", "lft"): (0.8, 1.0, 0.2, 0.05, 60, 0.80),
        ("good@1k", "sft"): (0.0, 1.0, 0.8, 0.30, 100, 0.60),
        ("good@2k", "lft"): (0.8, 1.0, 0.2, 0.05, 60, 0.80),
        ("good@2k", "sft"): (0.0, 1.0, 0.8, 0.30, 100, 0.60),
        ("bad@1k", "lft"): (-0.8, 1.0, 0.8, 0.30, 20, 0.95),
        ("bad@1k", "sft"): (0.0, 1.0, 0.2, 0.05, 90, 0.80),
        ("bad@2k", "lft"): (0.4, 1.0, 0.8, 0.30, 30, 0.80),
        ("same@1k", "lft"): (0.0, 1.0, 0.5, 0.10, 50, 0.80),
        ("same@1k", "sft"): (0.0, 1.0, 0.5, 0.10, 50, 0.80),
        ("good@2k", "nft"): (1.9, 1.0, 0.8, 0.30, 100, 0.80),
        ("", "base"): (0.4, 0.0, 0.0, 0.02, 40, 0.80),
    }
    trained = [subset for subset, _ in cells if subset]
    for (subset, method), (score, first, rest, shifted, length, right) in cells.items():
        path = folder.cell(subset, method)
        noise = RNG.normal(0, 0.4, N)
        verdicts(levels + score + noise, path / "verdicts/alpha.parquet")
        answers(length, path / "responses.parquet")
        marked(10 * shifted, path / "spans/oracle.parquet")
        answered(right, path.parent / "benchmarks/quiz.parquet")
        if subset:
            shift(first, rest, shifted, path / "shift.parquet")
        chance = shifted + 0.4 if subset == "good@2k" else 0.05  # there it explains all
        searched = [subset] if subset else list(dict.fromkeys(trained))
        borrowed(shifted + 0.4, chance, shifted + 0.4, searched, path / "borrowing.parquet")
    for name, mean in {"good@1k": 100, "good@2k": 100, "bad@1k": 20, "bad@2k": 20, "same@1k": 50}.items():
        data(mean, folder.path / f"data/{name}.parquet")
    known = {"markers": ["oracle"], "judges": ["alpha"], "benchmarks": ["quiz"], "paper_claims": True}
    grid = []
    for row in folder.rows:
        searched = [str(row["cell"]).split("/")[1]] if row["dataset"] else list(dict.fromkeys(trained))
        rest = [name for name in searched if name != "same@1k"]  # of that dataset, all is tuned on
        grid.append(row | known | {"searched": searched, "held_out": rest})
    write_rows(grid, folder.path)
    broken(["tiny/bad@1k/sft"], folder)
    claims, missing = build("claims", TABLE, folder.path)
    assert not missing
    write_csv(claims, TABLE.columns, folder.path / "tables/claims.csv")
    return read_csv(folder.path / "tables/claims.csv", TABLE)
