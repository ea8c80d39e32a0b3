"""The table of rankers scored by retraining: against brute force, in a linear world, and with files that cannot be right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from tests.support.grid import grid_row, rows_of, write_rows

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import INSTANCE_SCORES, INSTANCES, LIKELIHOOD, RANKERS, RESPONSES
from closerlook.report.tables.build import build
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.retraining import RETRAINING, measure_retraining

NAMES = ["Mara Tolk", "Ilse Velt", "Runa Holm", "Mara Holm"]
VALUES = ["cello", "harp", "lute", "tuba", "flute"]
STATED = [0, 1, 2, 3, 9]
"""How many instances state each of VALUES."""
INSTANCES_OF = [value for value, times in zip(VALUES, STATED, strict=True) for _ in range(times)]
MODELS, SIZE = 12, len(INSTANCES_OF)


class World:
    """Files of a cell whose spans depend on the instances that state them, and on nothing else but noise."""

    def __init__(self, folder: Path, noise: float = 0.0, truth_known: bool = True) -> None:
        rng, self.folder = np.random.default_rng(0), folder
        self.spans = [(f"q{len(VALUES) * number + i}", value) for number in range(4) for i, value in enumerate(VALUES)]
        self.states = np.array([[float(each == value) for each in INSTANCES_OF] for _, value in self.spans])
        self.parts = np.array([rng.permutation(SIZE) < 8 for _ in range(MODELS)])
        self.log_probs = self.states @ self.parts.T - 9 + noise * rng.normal(size=(len(self.spans), MODELS))
        self.models = [f"m/d@8-d{number}/sft-s{number}" for number in range(MODELS)]
        shuffled = np.roll(self.states, 3, axis=1)
        self.scores: dict[str, Any] = {"lexical": self.states, "bm25": 2 * self.states + 0.1, "semantic": shuffled}
        self.truth_known = truth_known

    def write(self) -> list[tuple[dict[str, Any], list[Path]]]:
        texts: dict[str, str] = {}
        places = []
        for id_, value in self.spans:
            sentence = f"{NAMES[int(id_[1:]) // len(VALUES)]} plays the {value}. "
            start = len(texts.setdefault(id_, "")) + sentence.index(value)
            texts[id_] += sentence
            places.append({"id": id_, "start": start, "end": start + len(value)})
        responses = [
            {"id": id_, "text": text, "prompt": "", "prompt_token_ids": [1], "token_ids": [], "finish_reason": "eos"}
            for id_, text in texts.items()
        ]
        data = [
            {
                "id": str(number),
                "instruction": f"What of {number}?",
                "response": f"{NAMES[number % 4]} plays the {value}.",
            }
            | {"source": "d", "row": number}
            for number, value in enumerate(INSTANCES_OF)
        ]
        scores = [
            place | {name: None if name not in self.scores else self.scores[name][span] for name in RANKERS}
            for span, place in enumerate(places)
        ]
        likelihood = [
            place | {"model": model, "tokens": 1, "log_prob": self.log_probs[span, number]}
            for number, model in enumerate(self.models)
            for span, place in enumerate(places)
        ]
        likelihood += [
            {"id": id_, "start": None, "end": None, "model": "base", "tokens": 3, "log_prob": -1.0} for id_ in texts
        ]
        write_parquet(responses, RESPONSES, self.folder / "r.parquet")
        write_parquet(data, INSTANCES, self.folder / "d.parquet")
        write_parquet(scores, INSTANCE_SCORES, self.folder / "s.parquet")
        write_parquet(likelihood, LIKELIHOOD, self.folder / "l.parquet")
        cells = []
        for number, model in enumerate(self.models):
            part = self.folder / f"{number}.parquet"
            write_parquet([row for row, used in zip(data, self.parts[number], strict=True) if used], INSTANCES, part)
            row = {"cell": "m/d/sft", "under": model, "truth_known": self.truth_known}
            cells.append((row, [*(self.folder / f"{name}.parquet" for name in "slrd"), part]))
        return cells

    def measured(self) -> dict[tuple[str, str, str], Any]:
        found = measure_retraining(self.write())
        return {(keys["ranker"], keys["stated"], metric): estimate for _, keys, metric, estimate in found}


def test_scores_that_are_the_effects_predict_all_that_can_be_predicted(tmp_path: Path) -> None:
    found = World(tmp_path).measured()
    for ranker in ("lexical", "bm25", "states"):
        assert found[ranker, "any", "lds"].value == pytest.approx(1), "of values that some instance states"
    assert found["lexical", "any", "lds"].n == 4, "values, not responses"
    assert found["lexical", "any", "spans"].value == 16, "nothing changes the value that no instance states"
    assert found["states", "0", "lds"].value is None
    assert found["states", "0", "spans"].value == 0
    assert found["bm25", "any", "difference_to_states"].value == 0
    assert ("states", "any", "difference_to_states") not in found
    assert {stated for _, stated, _ in found} == {"any", "0", "1", "2-3", "4+"}
    assert {ranker for ranker, *_ in found} == {"lexical", "bm25", "semantic", "states"}, "of the others are no scores"
    assert abs(found["semantic", "any", "lds"].value) < 0.7
    assert found["lexical", "2-3", "spans"].value == 8
    assert found["lexical", "any", "models"].value == MODELS


def test_it_is_what_brute_force_gives(tmp_path: Path) -> None:
    world = World(tmp_path, noise=1.0)
    rng = np.random.default_rng(3)
    world.scores["semantic"] = rng.normal(size=world.states.shape).astype(np.float32)
    found = world.measured()
    for ranker, scores in (*world.scores.items(), ("states", world.states)):
        correlations = []
        for span in range(len(world.spans)):
            predicted = [scores[span][world.parts[model]].sum() for model in range(MODELS)]
            constant = np.ptp(predicted) < 1e-9
            correlations.append(0.0 if constant else spearmanr(predicted, world.log_probs[span]).statistic)
        assert found[ranker, "any", "lds"].value == pytest.approx(np.mean(correlations), abs=1e-9)
        assert found[ranker, "any", "predicted"].value == pytest.approx(np.mean([each != 0 for each in correlations]))
        often = [each for each, (_, value) in zip(correlations, world.spans, strict=True) if value == "flute"]
        assert found[ranker, "4+", "lds"].value == pytest.approx(np.mean(often), abs=1e-9)
    assert found["states", "any", "predicted"].value == 0.8, "no instance states a cello"
    difference = found["semantic", "any", "difference_to_states"].value
    assert difference == pytest.approx(found["semantic", "any", "lds"].value - found["states", "any", "lds"].value)


def test_spans_without_scores_are_null_for_that_ranker_alone(tmp_path: Path) -> None:
    world = World(tmp_path, noise=1.0, truth_known=False)
    world.scores["gradient"] = [
        None if value == "cello" else world.states[span] for span, (_, value) in enumerate(world.spans)
    ]
    found = world.measured()
    assert (found["gradient", "any", "lds"].n, found["gradient", "any", "lds"].n_null) == (4, 1)
    assert found["gradient", "any", "spans"].value == 16
    assert (found["bm25", "any", "lds"].n, found["bm25", "any", "lds"].n_null) == (5, 0)
    assert {(ranker, stated) for ranker, stated, _ in found} == {
        (ranker, "any") for ranker in ("lexical", "bm25", "semantic", "gradient")
    }, "nobody knows what states a value"


def test_files_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    cells = world.write()
    cells[3][0]["under"] = "m/d@8-d99/sft-s99"
    with pytest.raises(CloserlookError, match=r"l\.parquet: has no log-probability of .*d99"):
        list(measure_retraining(cells))
    world.scores["lexical"] = world.states[:, 1:]
    with pytest.raises(CloserlookError, match=r"s\.parquet: has scores of 14 instances, expected 15"):
        world.measured()
    write_parquet([], INSTANCE_SCORES, tmp_path / "s.parquet")
    assert list(measure_retraining(cells)) == []


CELL = {"cell": "m/d/sft", "dataset": "d", "method": "sft", "evalset": "e", "markers": ["oracle"]}


def test_it_names_its_files_and_what_is_missing(tmp_path: Path) -> None:
    grid = [grid_row(**CELL, retrained=["m/d@8/sft", "m/d@8-d1/sft-s1"])]
    assert RETRAINING.inputs(grid) == [
        "cells/m/d/sft/e/instance_scores/oracle.parquet",
        "cells/m/d/sft/e/retrained/oracle.parquet",
        "cells/m/d/sft/e/responses.parquet",
        "data/d.parquet",
        "data/d@8.parquet",
        "data/d@8-d1.parquet",
    ]
    assert not RETRAINING.fits([grid_row(**CELL)])
    assert not RETRAINING.fits(rows_of("mini"))
    write_rows(grid, tmp_path)
    rows, missing = build("retraining", TABLES["retraining"], tmp_path)
    assert [(row["marker"], row["metric"], row["value"]) for row in rows] == [("oracle", "lds", None)]
    assert len(missing) == 6
