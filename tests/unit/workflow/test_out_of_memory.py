"""A job whose GPU runs out of memory is tried again with half the batch, whatever program it runs."""

import json
import runpy
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tests.support import REPOSITORY
from tests.support.responses import command, put_inputs
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model
from tests.support.workflow_project import Project

from closerlook.config.catalog import BATCH_TOKENS, GenerateLaunch
from closerlook.core.files import write_parquet
from closerlook.core.schemas import RESPONSES, SPANS
from closerlook.core.scripts import FAILURE_NOTE
from closerlook.models.logits import Network

MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB"
FAILS_ONCE = f"""
import torch
from closerlook.core.scripts import run
def main():
    raise torch.OutOfMemoryError({MESSAGE!r})
tried = Path("tried." + script)
if not tried.exists():
    tried.touch()
    run(main)
"""


def test_the_retry_has_half_the_batch(project: Project) -> None:
    folder = project.folder / "results/dag/cells/miniature/brief/sft/questions"
    for name in ("generate", "shift"):
        program = project.folder / "workflow/scripts" / f"{name}.py"
        before, after = program.read_text().split("files = {", 1)
        program.write_text(f"{before}{FAILS_ONCE}files = {{{after}")
    for file in ("responses.parquet", "shift.parquet"):
        (folder / file).unlink()
    project.snakemake("--retries", "1", str((folder / "shift.parquet").relative_to(project.folder)))
    half = GenerateLaunch().batch_size // 2
    assert (folder / "responses.parquet").read_text().endswith(f"--batch-size {half}")
    assert (folder / "shift.parquet").read_text().endswith(f"--batch-tokens {BATCH_TOKENS // 2}")
    for stage in ("generate", "shift"):
        attempts = json.loads((folder / "attempts" / stage / "attempts.json").read_text())
        reasons = [(attempt["reason"], attempt["message"]) for attempt in attempts[-2:]]
        assert reasons == [("out of memory", MESSAGE), (None, "")]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A base and a tuned model, an evalset, responses and spans."""
    put_inputs(tmp_path)
    saved(tiny_model(seed=1), tmp_path / "tuned")
    ids = byte_tokenizer()("the cat", add_special_tokens=False)["input_ids"]
    row = {"id": "q0", "prompt": "", "prompt_token_ids": [0, 5], "token_ids": ids, "text": "the cat"}
    write_parquet([row | {"finish_reason": "eos"}], RESPONSES, tmp_path / "responses.parquet")
    span = dict.fromkeys(SPANS.names) | {"id": "q0", "start": 0, "end": 3, "marker": "m"}
    write_parquet([span], SPANS, tmp_path / "spans.parquet")
    return tmp_path


@pytest.mark.parametrize("program", ["generate", "shift", "span_likelihood"])
def test_every_program_calls_it_by_its_name(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    def hidden(self: Network, **_: object) -> None:
        raise torch.OutOfMemoryError(MESSAGE)

    of_shift = ["--tuned", inputs / "tuned"] if program == "shift" else ["--spans", inputs / "spans.parquet"]
    words = ["--base", inputs / "base", "--responses", inputs / "responses.parquet", *of_shift]
    words += ["--out", inputs / "out.parquet", "--batch-tokens", "7"]
    arguments = command(inputs, "out.parquet")[2:] if program == "generate" else words
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    monkeypatch.setenv(FAILURE_NOTE, str(inputs / "note"))
    runs = str(REPOSITORY / f"workflow/scripts/{program}.py")
    with monkeypatch.context() as patch:
        patch.setattr(Network, "hidden", hidden)
        with pytest.raises(torch.OutOfMemoryError):
            runpy.run_path(runs, run_name="__main__")
    assert json.loads((inputs / "note.0").read_text())["reason"] == "out of memory"
    runpy.run_path(runs, run_name="__main__")
    assert pq.read_table(inputs / "out.parquet").num_rows
