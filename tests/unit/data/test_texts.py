"""General text in pieces: each kind of file, what is left out and counted, and draws that do not hang on the order."""

import gzip
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY

from closerlook.config.settings import FileSource, HubSource
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import TEXT
from closerlook.data import texts as module
from closerlook.data.texts import prepare_text


def pieces_of(file: Path, **how: Any) -> list[tuple[str, str]]:
    table, _, _ = prepare_text(FileSource(file=str(file)), **how)
    assert table.schema.equals(TEXT)
    return [(row["id"], row["text"]) for row in table.to_pylist()]


def written(file: Path, content: bytes | str) -> Path:
    data = content.encode() if isinstance(content, str) else content
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return file


@pytest.mark.parametrize("ending", [".txt", ".txt.gz", ".TXT"])
def test_a_plain_file_is_cut_at_blank_lines_or_at_its_separator(ending: str, tmp_path: Path) -> None:
    file = written(tmp_path / f"a{ending}", "\n\none\ntwo\n \t\n\n\r\nthree ===\n===four\n")
    assert pieces_of(file) == [("0", "one\ntwo"), ("1", "three ===\n===four")]
    assert pieces_of(file, separator="===") == [
        ("0", "one\ntwo\n \t\n\n\nthree"),
        ("2", "four"),
    ]  # the piece between the separators is empty
    assert [text for _, text in pieces_of(file, separator="\n")] == ["one", "two", "three ===", "===four"]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".parquet"])
def test_rows_of_every_kind_of_file(ending: str, tmp_path: Path) -> None:
    rows = [{"n": "1", "body": "a\nb"}, {"n": "2", "body": " 你好 "}]
    file = tmp_path / f"a{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif ending.startswith(".jsonl"):
        written(file, "".join(json.dumps(row) + "\n" for row in rows))
    elif ending.startswith(".json"):
        written(file, json.dumps(rows))
    else:
        written(file, 'n,body\n1,"a\nb"\n2, 你好 \n')
    assert pieces_of(file, column="body") == [("0", "a\nb"), ("1", "你好")]


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps({"text": "".join(map(chr, range(40, 9000)))}).encode())
    for content in (whole[:-20], b"no archive", whole[:300] + b"\x00" * 300 + whole[600:]):
        for name in ("a.jsonl.gz", "a.txt.gz"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(CloserlookError, match=rf"{name}: (cannot be read|not UTF-8)"):
                pieces_of(tmp_path / name)
    with pytest.raises(CloserlookError, match=r"found \.parquet\.gz, expected one of"):
        pieces_of(tmp_path / "a.parquet.gz")
    with pytest.raises(CloserlookError, match="no such file"):
        pieces_of(tmp_path / "none.txt")


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    lines = [
        '{"text": "one"}',
        '{"text": " \\n"}',
        "nonsense",
        '{"text": 3}',
        '{"text": "one "}',
        '{"text": "two"}',
        "[]",
    ]
    file = written(tmp_path / "a.jsonl", "\n".join(lines))
    table, report, summary = prepare_text(FileSource(file=str(file)))
    assert table["id"].to_pylist() == ["0", "5"]
    assert (report["rows_read"], report["rows_kept"]) == (7, 2)
    assert report["dropped"] == {"malformed": 3, "empty": 1, "duplicate": 1, "not_drawn": 0}
    assert report["source"] == {"file": "a.jsonl"}
    assert "row 2: does not parse" in summary
    table, report, _ = prepare_text(FileSource(file=str(file)), pieces=1)
    assert (table.num_rows, report["rows_read"]) == (1, 1)  # nothing after the last piece is read
    table, report, _ = prepare_text(FileSource(file=str(file)), pieces=1, draw=0)
    assert (table.num_rows, report["rows_read"], report["dropped"]["not_drawn"]) == (1, 7, 1)


def test_a_wrong_column_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", '{"contents": "one", "id": 4}\n')
    with pytest.raises(CloserlookError, match=r"a\.jsonl: no piece of text.*content: no such column.*mean contents\?"):
        pieces_of(file, column="content")
    with pytest.raises(CloserlookError, match=r"a\.txt: no piece of text"):
        pieces_of(written(tmp_path / "a.txt", " \n\n \n"))


@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique_by=str.strip, min_size=1),
    st.integers(1, 9),
    st.integers(0, 3),
)
def test_a_draw_takes_the_same_pieces_from_any_order(texts: list[str], pieces: int, draw: int) -> None:
    texts = [text.strip() for text in texts if text.strip()] or ["x"]
    shuffled = random.Random(draw).sample(texts, len(texts))
    drawn = []
    for order in (texts, shuffled):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                module, "read_rows", lambda source, streaming, order=order: enumerate({"text": t} for t in order)
            )
            table, report, _ = prepare_text(FileSource(file="a.jsonl"), pieces=pieces, draw=draw)
        found = table["text"].to_pylist()
        assert found == [text for text in order if text in set(found)]  # in the order of the source
        assert report["rows_kept"] + report["dropped"]["not_drawn"] == len(texts)
        drawn.append(set(found))
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == min(pieces, len(texts))


def test_draws_differ(tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", "\n".join(map(str, range(1000))))
    draws = [{text for _, text in pieces_of(file, separator="\n", pieces=100, draw=draw)} for draw in (0, 1)]
    assert draws[0] != draws[1]
    assert 0 < len(draws[0] & draws[1]) < 40  # 10 are expected


@pytest.mark.parametrize(("draw", "offline", "streams"), [(None, "0", True), (0, "0", False), (None, "1", False)])
def test_of_a_hub_dataset_no_more_is_fetched_than_is_read(
    draw: int | None, offline: str, streams: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    rows = datasets.Dataset.from_list([{"text": f"{number}"} for number in range(2500)])
    asked = []

    def load_dataset(path: str, name: str | None, **how: Any) -> Any:
        asked.append((path, name, how))
        return rows.to_iterable_dataset() if how["streaming"] else rows

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    source = HubSource(hub="a/b", config="en", split="validation")
    table, _, _ = prepare_text(source, pieces=2100, draw=draw)
    assert table.num_rows == 2100
    assert asked == [("a/b", "en", {"split": "validation", "revision": "main", "streaming": streams})]


def test_the_program(tmp_path: Path) -> None:
    written(tmp_path / "a.txt", "one|two|three")
    (tmp_path / "a.json").write_text(json.dumps({"file": "a.txt"}))
    program = [sys.executable, str(REPOSITORY / "workflow/scripts/prepare_text.py"), "--source", "a.json"]
    out = ["--separator", "|", "--pieces", "2", "--out", "a.parquet", "--report", "r.json"]
    done = subprocess.run([*program, *out], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_parquet(tmp_path / "a.parquet")["text"].to_pylist() == ["one", "two"]
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["separator"], report["pieces"], report["draw"], report["rows_kept"]) == ("|", 2, None, 2)


def test_real_text(shared: Path) -> None:
    articles = pieces_of(shared / "data/text/wikipedia_30.txt", separator="\n")
    assert len(articles) == 30
    assert min(len(text) for _, text in articles) > 500
    assert not any("\n" in text for _, text in articles)
    documents = pieces_of(shared / "data/text/c4_300.jsonl")
    assert len(documents) == 200
    assert documents[0][0] == "0"
    raw = [json.loads(line)["text"] for line in (shared / "data/text/c4_300.jsonl").open(encoding="utf-8")]
    assert [text for _, text in documents] == [text.strip() for text in raw[:200]]
    assert not any(re.fullmatch(r"\s*", text) for _, text in documents)
