"""What tests of score tables share: the files that they are measured from, written by hand, and the numbers read back."""

from pathlib import Path
from typing import Any

from closerlook.core.files import write_parquet
from closerlook.core.schemas import EVALSET, RESPONSES, VERDICTS
from closerlook.report.tables.build import build
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.scores import measure_aspects
from tests.support.synthetic import Folder, random_responses


def write(rows: list[dict[str, Any]], path: Path) -> Path:
    write_parquet(rows, VERDICTS, path)
    return path


def answers(texts: dict[str, str], path: Path) -> Path:
    row = random_responses(0, 1)[0]
    write_parquet([row | {"id": id_, "text": text} for id_, text in texts.items()], RESPONSES, path)
    return path


def questions(types: dict[str, list[str]], path: Path) -> Path:
    row = {"instruction": "?", "topics": [], "reference": None, "source": "ask"}
    write_parquet([row | {"id": id_, "task_types": names} for id_, names in types.items()], EVALSET, path)
    return path


def aspects_of(verdicts: Path, responses: Path) -> dict[tuple[str, str], Any]:
    measured = measure_aspects([({}, [verdicts, responses])])
    return {(keys["aspect"], metric): estimate for _, keys, metric, estimate in measured}


def measure(name: str, folder: Folder) -> list[dict[str, Any]]:
    return build(name, TABLES[name], folder.path)[0]


def values(rows: list[dict[str, Any]], *keys: str) -> dict[tuple[str, ...], float | None]:
    return {tuple(row[key] for key in (*keys, "metric")): row["value"] for row in rows}
