"""Cells of which it is known which claims hold, and the claims table made from them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from closerlook.core.files import write_csv, write_parquet
from closerlook.core.schemas import BORROWING, INSTANCES, RESPONSES, SHIFT, VERDICTS
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables.build import build
from closerlook.report.tables.claims import CLAIMS_DECIDED
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from tests.support.grid import write_rows
from tests.support.synthetic import Folder, random_responses, shift_row

TABLE = CLAIMS_DECIDED
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


def borrowed(share: float, chance: float, subset: str, path: Path) -> None:
    """Write one span in each response but the first, and counts of other kinds, which must not be read."""
    rows = []
    for i in range(1, N):
        row = {"id": str(i), "searched": subset, "unit": "span:oracle", "ngram": 0, "where": "all", "draw": 0}
        found = {"found": int(RNG.random() < share), "phrases": 1}
        rows += [row | {"null": null} | found for null in ("observed", "tuned_on")]
        for draw in range(3):
            rows.append(row | {"null": "held_out", "draw": draw, "found": int(RNG.random() < chance), "phrases": 1})
        row |= {"null": "observed"}
        for change in (
            {"unit": "shifted"},
            {"ngram": 1},
            {"where": "similar"},
            {"null": "unrelated"},
            {"null": "matched"},
            {"searched": "x"},
        ):
            rows.append(row | change | {"found": 5, "phrases": 5})
    write_parquet(rows, BORROWING, path)


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
        # dataset@size, method: (mean score above, KL first, KL rest, share shifted, mean length)
        ("good@1k", "lft"): (0.8, 1.0, 0.2, 0.05, 60),
        ("good@1k", "sft"): (0.0, 1.0, 0.8, 0.30, 100),
        ("good@2k", "lft"): (0.8, 1.0, 0.2, 0.05, 60),
        ("good@2k", "sft"): (0.0, 1.0, 0.8, 0.30, 100),
        ("bad@1k", "lft"): (-0.8, 1.0, 0.8, 0.30, 20),
        ("bad@1k", "sft"): (0.0, 1.0, 0.2, 0.05, 90),
        ("bad@2k", "lft"): (0.4, 1.0, 0.8, 0.30, 30),
        ("same@1k", "lft"): (0.0, 1.0, 0.5, 0.10, 50),
        ("same@1k", "sft"): (0.0, 1.0, 0.5, 0.10, 50),
        ("good@2k", "nft"): (1.9, 1.0, 0.8, 0.30, 100),
    }
    grid = []
    for (subset, method), (score, first, rest, shifted, length) in cells.items():
        path = folder.cell(subset, method)
        noise = RNG.normal(0, 0.4, N)
        verdicts(levels + score + noise, path / "verdicts/alpha.parquet")
        shift(first, rest, shifted, path / "shift.parquet")
        answers(length, path / "responses.parquet")
        chance = shifted + 0.4 if subset == "good@2k" else 0.05  # there it explains all
        borrowed(shifted + 0.4, chance, subset, path / "borrowing.parquet")
    for name, mean in {"good@1k": 100, "good@2k": 100, "bad@1k": 20, "bad@2k": 20, "same@1k": 50}.items():
        data(mean, folder.path / f"data/{name}.parquet")
    traced = {"markers": ["oracle"], "judges": ["alpha"]}
    for row in folder.rows:
        searched = [str(row["cell"]).split("/")[1]]
        rest = [] if searched == ["same@1k"] else searched  # of that dataset, all is tuned on
        grid.append(row | traced | {"searched": searched, "held_out": rest})
    write_rows(grid, folder.path)
    broken(["tiny/bad@1k/sft"], folder)
    claims, missing = build("claims", TABLE, folder.path)
    assert not missing
    write_csv(claims, TABLE.columns, folder.path / "tables/claims.csv")
    return read_csv(folder.path / "tables/claims.csv", TABLE)
