"""Lengths, data and cells, each against what the synthetic files were made from."""

import json
from pathlib import Path

import pytest
from tests.support.synthetic import Folder, cleaning, instances, random_responses, training

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet, write_text
from closerlook.core.schemas import INSTANCES, RESPONSES
from closerlook.report.tables import cells, data, lengths
from closerlook.stats.bootstrap import Estimate


def test_dataset_lengths_leave_the_end_of_sequence_out(folder: Folder, tmp_path: Path) -> None:
    folder.tokenizer()
    rows = instances(0, 40, 10)
    rows[0]["response"] = "The</s>"  # data, not control: ordinary tokens, the name of the special one spelled out
    write_parquet(rows, INSTANCES, tmp_path / "it.parquet")
    found = {
        metric: e
        for _, metric, e in lengths.measure_dataset_lengths(tmp_path / "it.parquet", folder.path / "models" / "tiny")
    }
    tokens = [row["response"].count(" the") for row in rows[1:]] + [len("</s>") + 1]
    assert found["tokens"].value == pytest.approx(sum(tokens) / 40, rel=1e-12)
    assert found["characters"].value == pytest.approx(sum(len(row["response"]) for row in rows) / 40, rel=1e-12)
    assert found["tokens"].n == 40


def test_model_lengths_and_finish_reasons(tmp_path: Path) -> None:
    rows = random_responses(1, 60)
    rows[5] |= {"token_ids": [], "text": ""}
    rows[6] |= {"text": "😀é"}
    write_parquet(rows, RESPONSES, tmp_path / "responses.parquet")
    found = {metric: e for keys, metric, e in lengths.measure_response_lengths(tmp_path / "responses.parquet")}
    assert found["tokens"].value == pytest.approx(sum(len(row["token_ids"]) for row in rows) / 60, rel=1e-12)
    assert found["characters"].value == pytest.approx(sum(len(row["text"]) for row in rows) / 60, rel=1e-12)
    for reason in ("eos", "stop", "length"):
        assert found[reason].value == pytest.approx(sum(row["finish_reason"] == reason for row in rows) / 60, rel=1e-12)
    assert {estimate[3:] for estimate in found.values()} == {(60, 0)}


def test_data_counts_only_what_the_subset_asks(folder: Folder) -> None:
    root = folder.path / "data"
    write_parquet(instances(0, 50, 5), INSTANCES, root / "it@50.parquet")
    cleaning(folder, "it@50", "ask")
    pairs = root / "contamination" / "it" / "ask.parquet"
    found = {
        metric: e
        for _, metric, e in data.count_contaminated(
            root / "it@50.parquet", folder.path / "evalsets" / "ask.parquet", pairs
        )
    }
    # one instruction exactly (and another instance of it nearly), one nearly; a third only in instances beyond the first 50
    assert found == {"contaminated_exact": Estimate(1.0, n=7), "contaminated_near": Estimate(1.0, n=7)}
    rows = {
        (keys.get("reason"), metric): e.value
        for keys, metric, e in data.count_rows(root / "it@50.parquet", root / "it.report.json")
    }
    assert rows[(None, "rows")] == 50
    assert (
        rows[(None, "rows_read")]
        == rows[(None, "rows_kept")] + sum(v for (_, m), v in rows.items() if m == "dropped")
        == 103
    )
    assert rows[("empty_instruction", "dropped")] == 0
    assert rows[("single_turn", "noted")] == 4


def test_cells_tell_no_time(tmp_path: Path) -> None:
    training(tmp_path, final_loss=0.25)
    found = {
        metric: e.value
        for _, metric, e in cells.measure_training(tmp_path / "manifest.json", tmp_path / "train_log.jsonl")
    }
    assert found["trainable_parameters"] == 1234
    assert (found["first_loss"], found["final_loss"]) == (2.0, 0.25)
    assert 12.345 not in found.values()


@pytest.mark.parametrize("broken", ["{}", "[1]", "{", ""])
def test_a_manifest_that_is_none_is_named(tmp_path: Path, broken: str) -> None:
    training(tmp_path)
    write_text(broken, tmp_path / "manifest.json")
    with pytest.raises(CloserlookError, match=r"not whole.*train it again"):
        list(cells.measure_training(tmp_path / "manifest.json", tmp_path / "train_log.jsonl"))


def test_a_report_that_is_none_is_named(tmp_path: Path) -> None:
    write_text(json.dumps({"rows_read": 3}), tmp_path / "it.report.json")
    with pytest.raises(CloserlookError, match=r"it\.report\.json: is no report"):
        list(data.count_rows(tmp_path / "it.parquet", tmp_path / "it.report.json"))
