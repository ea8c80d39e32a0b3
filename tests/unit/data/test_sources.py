"""Sources: hostile files, and the messages for errors of the hub."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from closerlook.config.settings import FileSource, HubSource
from closerlook.core.errors import CloserlookError
from closerlook.data.sources import describe, provenance, read_rows


def rows_of(path: Path, content: bytes | str) -> list:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(FileSource(file=str(path))))


RECORDS = [{"a": "plain"}, {"a": "naïve 🙂 \u2028 \x00 end"}, {"a": "x\ny"}]


def test_every_reader_gives_the_same_rows(tmp_path):
    expected = list(enumerate(RECORDS))
    assert rows_of(tmp_path / "a.json", json.dumps(RECORDS)) == expected
    assert rows_of(tmp_path / "a.jsonl", "\n".join(json.dumps(r, ensure_ascii=False) for r in RECORDS)) == expected
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    assert list(read_rows(FileSource(file=str(tmp_path / "a.parquet")))) == expected
    quoted = "a\n" + "\n".join('"{}"'.format(r["a"]) for r in RECORDS)
    assert rows_of(tmp_path / "a.csv", quoted) == expected


def test_jsonl_bad_lines_are_rows_not_errors(tmp_path):
    deep, number = "[" * 100_000, "1" * 10_000
    lines = ['{"a": 1}', "{bad", deep, number, "null", '{"a": NaN}', '{"cut": "of']
    content = "\n".join(lines).encode() + b"\n\xff\xfe\n\n   \n" + b'{"b": 2}'
    rows = dict(rows_of(tmp_path / "a.jsonl", content))
    assert rows[0] == {"a": 1}
    assert [row for row, record in rows.items() if record is None] == [1, 2, 3, 4, 6, 7]
    assert rows[10] == {"b": 2}, "blank lines are no rows, but they count as lines"
    assert set(rows) == {0, 1, 2, 3, 4, 5, 6, 7, 10}


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv"])
def test_bom_and_crlf(tmp_path, ending):
    text = {"json": '[\r\n{"a": "1"}\r\n]', "jsonl": '{"a": "1"}\r\n', "csv": "a\r\n1\r\n"}[ending]
    assert rows_of(tmp_path / f"x.{ending}", b"\xef\xbb\xbf" + text.encode()) == [(0, {"a": "1"})]


def test_huge_fields(tmp_path):
    huge = "ä" * 3_000_000  # over csv's default limit of 131,072 characters
    assert rows_of(tmp_path / "x.csv", f'a\n"{huge}"\n') == [(0, {"a": huge})]
    assert rows_of(tmp_path / "x.jsonl", json.dumps({"a": huge})) == [(0, {"a": huge})]


def test_csv_rows_of_wrong_width(tmp_path):
    assert rows_of(tmp_path / "x.csv", "a,b\n1,2\n1\n1,2,3\n") == [
        (0, {"a": "1", "b": "2"}),
        (1, {"a": "1", "b": None}),
        (2, None),
    ]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_empty_files_have_no_rows(tmp_path, ending):
    assert rows_of(tmp_path / f"x.{ending}", b"") == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"", "line 1, column 1"),
        ("x.json", b'[\n{"a": 1},\n{"a": "cut', "line 3.*cut off|line 3"),
        ("x.json", b'[\n{"a": 1}', "is the file cut off"),
        ("x.json", b'{"a": 1}\n{"a": 2}\n', ".jsonl"),
        ("x.json", b'{"a": 1}', "found a JSON dict, expected a list"),
        ("x.json", b'[{"a": ' + b"1" * 10_000 + b"}]", "cannot be read as JSON"),
        ("x.json", b'["\xff"]', "not UTF-8"),
        ("x.csv", b'a,b\n1,"never closed\n', "not valid CSV, line"),
        ("x.csv", b"a\n\xff\n", "not UTF-8"),
        ("x.parquet", b"", "cannot be read as parquet"),
        ("x.parquet", b"PAR1 not really PAR1", "cannot be read"),
        ("x.txt", b"hello", r"found \.txt, expected one of \.json, \.jsonl, \.parquet, \.csv"),
        ("noending", b"hello", "found no file ending"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, message):
    with pytest.raises(CloserlookError, match=message) as caught:
        rows_of(tmp_path / name, content)
    assert name in str(caught.value)
    assert len(str(caught.value)) < 500


def test_truncated_parquet_missing_file_and_folder(tmp_path):
    pq.write_table(pa.table({"a": ["x" * 100] * 1000}), tmp_path / "x.parquet")
    whole = (tmp_path / "x.parquet").read_bytes()
    with pytest.raises(CloserlookError, match=r"x\.parquet: cannot be read as parquet"):
        rows_of(tmp_path / "x.parquet", whole[: len(whole) // 2])
    with pytest.raises(CloserlookError, match=r"gone\.jsonl: no such file"):
        list(read_rows(FileSource(file=str(tmp_path / "gone.jsonl"))))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(CloserlookError, match=r"folder\.jsonl: cannot be read: Is a directory"):
        list(read_rows(FileSource(file=str(tmp_path / "folder.jsonl"))))


def test_what_messages_and_reports_call_a_source():
    hub = HubSource(hub="a/b", revision="abc", split="test")
    assert describe(hub) == "a/b@abc, split test"
    assert provenance(FileSource(file="/some/where/a.jsonl")) == {"file": "a.jsonl"}
    assert provenance(hub) == {"hub": "a/b", "revision": "abc", "split": "test"}


@pytest.fixture
def hub(monkeypatch):
    """Replace `load_dataset` by a function of the test."""
    import datasets

    def use(result):
        def load_dataset(path, name=None, *, split, revision, streaming):
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return HubSource(hub="some/data", revision="r1", split="train")

    return use


def test_hub_rows(hub):
    from datasets import Dataset

    records = [{"messages": [{"role": "user", "content": f"{i}"}], "n": i} for i in range(2500)]
    assert list(read_rows(hub(Dataset.from_list(records)))) == list(enumerate(records))


def test_hub_errors_say_what_to_do(hub, monkeypatch):
    from datasets.exceptions import DatasetNotFoundError

    # the texts are those of datasets 5.2 (load.py), except for the made-up names
    script = "Dataset scripts are no longer supported, but found data.py"
    cases = [
        (
            DatasetNotFoundError("Dataset 'some/data' is a gated dataset on the Hub."),
            r"accept its license at .*/some/data and set HF_TOKEN",
        ),
        (DatasetNotFoundError("Dataset 'some/data' doesn't exist on the Hub or cannot be accessed."), "check the id"),
        (DatasetNotFoundError("Revision 'r1' doesn't exist for dataset 'some/data' on the Hub."), "no revision 'r1'"),
        (RuntimeError(script), "refs/convert/parquet"),
        (ConnectionError("Couldn't reach 'some/data' on the Hub"), "unset HF_HUB_OFFLINE"),
        (ValueError("Unknown split \"train\". Should be one of ['test']."), r"Should be one of \['test'\]"),
    ]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for error, message in cases:
        with pytest.raises(CloserlookError, match=message) as caught:
            list(read_rows(hub(error)))
        assert "hub dataset some/data@r1, split train" in str(caught.value)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(CloserlookError, match="the hub cannot be reached"):
        list(read_rows(hub(cases[4][0])))


def test_hub_offline_for_real(monkeypatch, tmp_path):
    """With the real library: conftest sets HF_HUB_OFFLINE."""
    with pytest.raises(CloserlookError, match="unset HF_HUB_OFFLINE"):
        list(read_rows(HubSource(hub="closerlook-tests/no-such-dataset")))
