"""Sampled answers: each is its own, whatever the batch and however many there are."""

import runpy
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support import REPOSITORY
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model

from closerlook.config.cell import CellConfig, PromptTemplate
from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import RESPONSES, SPANS
from closerlook.generate.responses import generate
from closerlook.spans.consistency import read_samples

TEMPLATE = "Q: {instruction}\nA:"
IDS = ["q", "a/b", "7/7", "0/q"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved(tiny_model(), tmp_path / "base", byte_tokenizer())
    pq.write_table(pa.table({"id": IDS, "instruction": ["Who?", "Why? 🙂", "Who?", "a"]}), tmp_path / "e.parquet")
    config = CellConfig(template=PromptTemplate(text=TEMPLATE), generate=GenerateSettings(max_new_tokens=8))
    config.write(tmp_path / "config.json")
    return tmp_path


def draw(
    folder: Path, name: str, samples: int, batch_size: int = 64, seed: int = 0, temperature: float = 1.0
) -> list[dict]:
    settings = GenerateSettings(max_new_tokens=8, temperature=temperature, seed=seed)
    inputs = (folder / "base", None, folder / "e.parquet", TEMPLATE)
    generate(*inputs, settings, folder / name, batch_size, "float32", samples=samples)
    return read_parquet(folder / name).to_pylist()


def test_samples_are_their_own(folder: Path) -> None:
    rows = draw(folder, "five.parquet", 5)
    assert read_parquet(folder / "five.parquet").schema.equals(RESPONSES)
    assert [row["id"] for row in rows] == [f"{number}/{id_}" for number in range(5) for id_ in IDS]
    assert draw(folder, "again.parquet", 5, batch_size=1) == rows
    assert (folder / "again.parquet").read_bytes() == (folder / "five.parquet").read_bytes()
    assert draw(folder, "two.parquet", 2, batch_size=3) == rows[:8]
    assert draw(folder, "other.parquet", 2, seed=1) != rows[:8]
    assert len({row["text"] for row in rows}) > 15  # not the same again and again, nor for the same question
    texts = read_samples(folder / "five.parquet", IDS[::-1], 3)
    assert texts == [[rows[4 * number + index]["text"] for number in range(3)] for index in (3, 2, 1, 0)]


def test_greedy_samples_and_missing_ones_are_refused(folder: Path) -> None:
    with pytest.raises(CloserlookError, match="--temperature: found 0, expected above 0"):
        draw(folder, "x.parquet", 2, temperature=0)
    draw(folder, "x.parquet", 1)
    with pytest.raises(CloserlookError, match="2 to q, expected 2"):
        read_samples(folder / "x.parquet", IDS, 2)


def test_the_scripts_from_samples_to_spans(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(folder, "sampled.parquet", 2)

    def script(name: str, *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(REPOSITORY / "workflow/scripts" / name), run_name="__main__")

    where = ("--model", folder / "base", "--evalset", folder / "e.parquet", "--config", folder / "config.json")
    how = ("--samples", 2, "--precision", "float32", "--out", folder / "script.parquet")
    script("generate.py", *where, *how, "--temperature", 1.0)
    assert (folder / "script.parquet").read_bytes() == (folder / "sampled.parquet").read_bytes()
    with pytest.raises(SystemExit):
        script("generate.py", *where, *how)
    assert "error: --temperature: found 0" in capsys.readouterr().err
    greedy = pq.read_table(folder / "sampled.parquet").slice(0, 4).set_column(0, "id", pa.array(IDS))
    pq.write_table(greedy, folder / "responses.parquet")
    inputs = ("--responses", folder / "responses.parquet", "--evalset", folder / "e.parquet", "--samples", 2)
    script(
        "mark_spans.py",
        "consistency",
        *inputs,
        "--sampled",
        folder / "script.parquet",
        "--out",
        folder / "spans.parquet",
    )
    assert capsys.readouterr().out.endswith("of 4 responses\n")
    assert read_parquet(folder / "spans.parquet").schema.equals(SPANS)
