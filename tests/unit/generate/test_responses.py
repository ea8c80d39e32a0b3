"""responses.parquet end to end: contents, order, resuming after kill -9, several ranks, adapters."""

import hashlib
import runpy
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from tests.support.responses import QUESTIONS, SCRIPT, TEMPLATE, command, hidden_parts, put_inputs, write_evalset
from tests.support.tiny_models import byte_tokenizer, save_adapter_and_merged, saved, tiny_model

from closerlook.config.settings import GenerateSettings
from closerlook.core import resumable
from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import EVALSET, RESPONSES
from closerlook.generate import responses as module
from closerlook.generate.responses import generate


@pytest.fixture
def folder(tmp_path):
    put_inputs(tmp_path)
    return tmp_path


def run(
    folder,
    *,
    tuned=None,
    template=TEMPLATE,
    batch_size=3,
    name="responses.parquet",
    evalset="evalset.parquet",
    **settings,
):
    inputs = {"base": folder / "base", "tuned": tuned, "evalset": folder / evalset, "template": template}
    settings = GenerateSettings(**{"max_new_tokens": 12} | settings)
    generate(**inputs, settings=settings, out=folder / name, batch_size=batch_size, precision="float32")
    table = pq.read_table(folder / name)
    assert table.schema.equals(RESPONSES)
    return table.to_pylist()


def test_rows_say_what_happened_in_the_evalset_s_order(folder):
    tokenizer = byte_tokenizer()
    rows = run(folder)
    assert [row["id"] for row in rows] == [f"q{i}" for i in range(len(QUESTIONS))]
    for row, question in zip(rows, QUESTIONS, strict=True):
        assert row["prompt"] == f"Q: {question}\nA:"
        assert tokenizer.decode(row["prompt_token_ids"]) == row["prompt"]
        assert row["text"] == tokenizer.decode(row["token_ids"], skip_special_tokens=True)
        assert 1 not in row["token_ids"], "the end-of-sequence token is no part of a response"
        assert row["finish_reason"] in ("eos", "length")
        assert (row["finish_reason"] == "length") == (len(row["token_ids"]) == 12)


def test_batch_and_part_sizes_do_not_matter(folder, monkeypatch):
    rows = run(folder)
    assert run(folder, batch_size=1) == rows
    assert run(folder, batch_size=64) == rows
    monkeypatch.setattr(module, "PART", 2)
    assert run(folder) == rows
    assert run(folder, temperature=1.0) == run(folder, temperature=1.0, batch_size=1) != rows


def test_an_adapter_answers_like_its_merged_weights(folder):
    save_adapter_and_merged(folder)
    rows = run(folder, tuned=folder / "adapter")
    assert rows == run(folder, tuned=folder / "merged")
    assert rows != run(folder)


def test_two_runs_same_bytes(folder):
    for name in ("one.parquet", "two.parquet"):
        run(folder, name=name)
    assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()


def test_stops_are_cut(folder):
    plain = run(folder, max_new_tokens=30)
    longest = max(plain, key=lambda row: len(row["token_ids"]))
    stop = longest["text"][4:6]
    for row, before in zip(run(folder, max_new_tokens=30, stop=[stop]), plain, strict=True):
        assert stop not in row["text"]
        assert (row["finish_reason"] == "stop") == (stop in before["text"])
        assert before["text"].startswith(row["text"].rstrip("\ufffd"))


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (
            {"instruction": "long " * 300},
            r"prompt q0: \d+ tokens .* 256",
        ),
        ({"id": "q3"}, "found id 'q3'"),
    ],
)
def test_evalsets_that_cannot_be_answered(folder, first, message):
    write_evalset(folder / "bad.parquet", **first)
    with pytest.raises(CloserlookError, match=message):
        run(folder, evalset="bad.parquet")
    assert not (folder / "responses.parquet").exists()


def test_an_empty_evalset_gives_an_empty_table(folder):
    pq.write_table(EVALSET.empty_table(), folder / "none.parquet")
    assert run(folder, evalset="none.parquet") == []


def test_the_script(folder, monkeypatch, capsys):
    rows = run(folder)
    monkeypatch.setattr(sys, "argv", command(folder, "new/script.parquet")[1:])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert pq.read_table(folder / "new/script.parquet").to_pylist() == rows
    monkeypatch.setattr(sys, "argv", command(folder, "x.parquet", "--temperature=-1")[1:])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "error: --temperature" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    script = (
        f"import runpy, sys; sys.argv = ['x', '--help']\ntry: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    check = script + "except SystemExit: pass\nassert not {'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_finished_parts_are_taken_and_stale_ones_are_not(folder, monkeypatch):
    monkeypatch.setattr(module, "PART", 2)
    whole = run(folder)
    bytes_of = hashlib.sha256((folder / "responses.parquet").read_bytes()).hexdigest()
    assert not (folder / ".responses.parquet.parts").exists()
    (folder / "responses.parquet").unlink()  # as Snakemake does with the outputs of a failed job

    original, calls = resumable.write_parquet, []

    def third_part_fails(rows, schema, path):
        calls.append(path.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        original(rows, schema, path)

    monkeypatch.setattr(resumable, "write_parquet", third_part_fails)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    assert len(hidden_parts(folder)) == 2
    calls.clear()
    calls.extend(["x"] * 3)  # no more failures
    assert run(folder) == whole
    assert len(calls[3:]) == 3, "only what was missing"
    assert hashlib.sha256((folder / "responses.parquet").read_bytes()).hexdigest() == bytes_of

    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    changed = run(folder, template="Question: {instruction}")
    assert all(row["prompt"].startswith("Question: ") for row in changed), "parts of another template are never taken"
    assert not (folder / ".responses.parquet.parts").exists()


def test_another_model_or_setting_is_another_identity(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "compute_in_parts", lambda *arguments: seen.append(arguments[-1]))
    pq.write_table(RESPONSES.empty_table(), folder / "responses.parquet")
    run(folder)
    run(folder)
    run(folder, max_new_tokens=13)
    run(folder, tuned=folder / "base")
    saved(tiny_model(seed=1), folder / "base")
    run(folder)
    write_evalset(folder / "evalset.parquet", id="other")
    run(folder)
    assert seen[0] == seen[1]
    assert len(set(seen)) == 5
