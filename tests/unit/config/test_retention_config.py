"""Texts of a preset: which cells read them, where they come from, and names and settings that are refused."""

import copy
from pathlib import Path
from typing import Any

import pytest
from tests.support import REPOSITORY
from tests.support.preset import PRESET

from closerlook.config.load import Configuration, load
from closerlook.config.rows import grid_rows
from closerlook.config.settings import FileSource
from closerlook.config.source_files import SourceFiles
from closerlook.config.stages import STAGES, stages
from closerlook.core.errors import CloserlookError


def configured(retention: list[str], texts: dict[str, Any] | None = None, **changes: Any) -> Configuration:
    overrides = {"texts": texts or {}, "methods": {"icl": {"template": "miniature-icl"}}}
    preset = copy.deepcopy(PRESET) | {"retention": retention, "overrides": overrides} | changes
    return load(preset, "mine.yaml", root=Path.cwd(), workflow=REPOSITORY)


def test_nothing_is_read_unless_a_preset_asks_for_it() -> None:
    configuration = configured([])
    assert not [s for cell in configuration.cells for s in stages(configuration, cell) if s.name == "retention"]
    assert {len(row.retention) for row in grid_rows(configuration)} == {0}


def test_each_cell_and_base_reads_every_text_but_no_control_with_a_template_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    texts = {"own": {"source": {"file": str(tmp_path / "a.txt")}}}
    grid = [*PRESET["grid"], {"models": ["miniature"], "methods": ["icl"], "evalsets": ["questions"]}]
    configuration = configured(["corpus", "own"], texts, grid=grid)
    for cell in configuration.cells:
        found = [stage for stage in stages(configuration, cell) if stage.name == "retention"]
        if cell.method == "icl":
            assert not found
            continue
        (stage,) = found
        assert stage.file == f"cells/{cell.name}/retention/own.parquet"
        trained = [f"cells/{cell.name}/manifest.json"] if cell.dataset else []
        assert stage.inputs == ("models/miniature", "texts/corpus.parquet", "texts/own.parquet", *trained)
    assert {row.method: row.retention for row in grid_rows(configuration)} == {
        "lft": ["corpus", "own"],
        "sft": ["corpus", "own"],
        "base": ["corpus", "own"],
        "icl": [],
    }
    assert STAGES.index("retention") == STAGES.index("benchmarks") + 1


def test_the_miniatures_text_is_a_file_of_its_world() -> None:
    catalog = configured([], {"other": {"source": {"miniature": "corpus", "world": 2}}}).catalog
    sources = SourceFiles(catalog, "results/mine")
    assert sources.text("corpus") == FileSource(file="results/mine/miniature/texts/corpus.jsonl")
    assert sources.text("other") == FileSource(file="results/mine/miniature-2/texts/corpus.jsonl")
    files = {str(file): source for file, source in sources.files()}
    assert files["results/mine/texts/corpus.source.json"] == sources.text("corpus")


@pytest.mark.parametrize(
    ("retention", "texts", "problem"),
    [
        (["corpsu"], {}, r"mine\.yaml: retention\[0\]: found 'corpsu'.*did you mean corpus\?"),
        (["corpus", "corpus"], {}, r"retention\[1\].*each text once"),
        (["a"], {"a": {"source": {"file": "nowhere.txt"}}}, r"overrides\.texts\.a\.source\.file.*nowhere\.txt"),
        ([], {"a": {"source": {"miniature": "corpsu"}}}, r"overrides\.texts\.a\.source\.miniature.*'corpsu'.*'corpus'"),
        ([], {"a": {"source": {"url": "https://x"}}}, r"overrides\.texts\.a\.source"),
        ([], {"a/b": {"source": {"hub": "x/y"}}}, r"overrides\.texts\.a/b"),
        ([], {"a": {"source": {"hub": "x/y"}, "peices": 3}}, r"texts\.a\.peices.*did you mean pieces\?"),
        ([], {"a": {"source": {"hub": "x/y"}, "pieces": 0}}, r"texts\.a\.pieces"),
        ([], {"a": {"source": {"hub": "x/y"}, "max_tokens": "1k"}}, r"texts\.a\.max_tokens"),
        ([], {"a": {"source": {"hub": "x/y"}, "separator": "\n"}}, r"texts\.a.*no separator"),
        ([], {"a": {"source": {"file": "a.jsonl.gz"}, "separator": "\n"}}, r"texts\.a.*no separator"),
        ([], {"a": {"source": {"file": "a.txt.gz"}, "column": "body"}}, r"texts\.a.*no column"),
        ([], {"a": {"source": {"miniature": "corpus"}, "column": "body"}}, r"texts\.a.*no column"),
    ],
)
def test_what_cannot_be_read_is_refused_before_any_job(
    retention: list[str], texts: dict[str, Any], problem: str
) -> None:
    with pytest.raises(CloserlookError, match=problem):
        configured(retention, texts)
