"""Generation is killed and started again: the bytes are those of an uninterrupted run."""

import signal
import subprocess
import time

import pytest
from tests.support.responses import QUESTIONS, TEMPLATE, command, hidden_parts, put_inputs, write_evalset

from closerlook.config.cell import CellConfig, PromptTemplate
from closerlook.config.settings import GenerateSettings

pytestmark = pytest.mark.e2e


def test_kill_9_then_again_gives_the_same_bytes(tmp_path):
    put_inputs(tmp_path)
    write_evalset(tmp_path / "evalset.parquet", [f"{i} {QUESTIONS[i % 7]}" for i in range(300)])
    long = CellConfig(template=PromptTemplate(text=TEMPLATE), generate=GenerateSettings(max_new_tokens=100))
    long.write(tmp_path / "config.json")
    subprocess.run(command(tmp_path, "whole.parquet"), check=True, capture_output=True)
    process = subprocess.Popen(command(tmp_path, "responses.parquet"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(hidden_parts(tmp_path)) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = hidden_parts(tmp_path)
    assert left
    assert not (tmp_path / "responses.parquet").exists()
    subprocess.run(command(tmp_path, "responses.parquet"), check=True, capture_output=True)
    assert (tmp_path / "responses.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not (tmp_path / ".responses.parquet.parts").exists()
