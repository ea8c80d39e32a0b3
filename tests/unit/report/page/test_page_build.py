"""The page's files: what goes into them comes out again, whatever is missing is said, and no text is anything but text."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.made_results import EMPTY_ID, FIRST_ID, HUGE_ID, small
from tests.support.pages import unpack

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.report.page.build import build
from closerlook.report.page.cell import MISSING, quantized
from closerlook.report.page.pack import ENCODING, script

DATA_FILE = re.compile(r'closerlook\.put\("[a-z0-9_-]+",\d+,"[\u3400-\ub3ff]+"\);\n')


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("made") / "small")


@pytest.fixture(scope="module")
def page(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report"
    build(results, out)
    return out


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "small"))


def data(page: Path, name: str) -> tuple[dict, dict]:
    return unpack((page / f"data/{name}.js").read_text(ENCODING))


def opened(page: Path, cell: str) -> tuple[dict, dict]:
    site, _ = data(page, "site")
    return data(page, next(row["file"] for row in site["cells"] if row["cell"] == cell))


integers = st.one_of(
    st.lists(st.integers(0, 255)),
    st.lists(st.integers(0, 2**32 - 1)),
    st.lists(st.integers(-(2**31), 2**31 - 1)),
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.none()), st.dictionaries(st.text(max_size=5), integers)
)
def test_what_is_packed_comes_out_again(content, columns):
    content.pop("columns", None)
    packed = script("cell-0", content, {name: np.array(values, np.int64) for name, values in columns.items()})
    assert DATA_FILE.fullmatch(packed)
    again, read = unpack(packed)
    assert again == content
    assert {name: values.tolist() for name, values in read.items()} == columns


def test_a_lone_surrogate_is_replaced():
    assert unpack(script("x", {"text": "a\ud800b"}))[0] == {"text": "a?b"}


@pytest.mark.parametrize("value", [2**32, -(2**31) - 1])
def test_integers_that_do_not_fit_are_refused(value):
    with pytest.raises(ValueError, match="32 bits"):
        script("x", {}, {"column": np.array([value])})


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(-1e9, 1e9)))
def test_quantized_numbers_are_right_to_half_a_step(values):
    for value, kept in zip(values, quantized(values, 100).tolist(), strict=True):
        if value is None:
            assert kept == MISSING
        elif abs(value) < 327:
            assert abs(kept / 100 - value) <= 0.005 + 1e-9
        else:
            assert kept == (32767 if value > 0 else -32767)


def test_every_token_keeps_what_shift_says_of_it(results, page):
    content, columns = opened(page, "tiny/d1/lft")
    rows = read_parquet(results / "cells/tiny/d1/lft/ask/shift.parquet").to_pylist()
    strings = read_tokens(results)
    assert columns["tokens"].tolist() == [len(row["token_ids"]) for row in rows]
    token = top = 0
    for row, text in zip(rows, content["texts"], strict=True):
        ends = [*row["token_start"][1:], len(text)]
        for i, rank in enumerate(row["base_rank"]):
            prob, five = row["base_prob"][i], list(zip(row["base_top5_ids"][i], row["base_top5_probs"][i], strict=True))
            assert columns["start"][token] == ends[i] - row["token_start"][i]
            assert columns["rank"][token] == rank
            assert (columns["prob"][token] / 255) ** 2 == pytest.approx(prob, abs=0.004)
            assert (columns["kl"][token] / 50) ** 2 == pytest.approx(
                row["kl_base_tuned"][i], abs=0.02 * max(1, row["kl_base_tuned"][i])
            )
            own = row["token_ids"][i]
            if rank <= 5 and five[rank - 1][0] == own:  # the page puts it there
                assert five.pop(rank - 1)[1] == pytest.approx(prob, abs=1e-6)
                five = [pair for pair in five if rank != 1 or pair[1] >= 0.05]
            assert columns["top"][token] == len(five)
            for id_, p in five:
                assert (columns["top_ids"][top] == 0) == (id_ == own)
                assert id_ == own or content["strings"][columns["top_ids"][top] - 1] == strings[id_]
                assert (columns["top_probs"][top] / 63) ** 2 == pytest.approx(p, abs=0.016)
                top += 1
            token += 1
    assert token == len(columns["rank"])
    assert top == len(columns["top_ids"])


def read_tokens(results: Path) -> list[str]:
    from transformers import AutoTokenizer

    from closerlook.report.tables.tokens import text_of

    tokenizer = AutoTokenizer.from_pretrained(results / "models/tiny")
    return [text_of(tokenizer, id_) for id_ in range(len(tokenizer))]


def test_only_instances_that_something_leads_to_are_in_the_page_with_their_texts(results, page):
    texts = {
        row["id"]: [row["instruction"], row["response"]]
        for row in read_parquet(results / "data/d1.parquet").to_pylist()
    }
    named = set()
    for method in ("lft", "sft"):
        folder = results / f"cells/tiny/d1/{method}/ask"
        named |= set(read_parquet(folder / "trace/oracle.parquet")["instance"].to_pylist())
        named |= {id_ for ids in read_parquet(folder / "words.parquet")["candidates"].to_pylist() for id_ in ids}
    site, _ = data(page, "site")
    rows = [row for file in site["datasets"]["d1"]["files"] for row in data(page, file)[0]["instances"]]
    assert {row[0] for row in rows} == named
    assert all(texts[id_] == text for id_, *text in rows)
    assert site["datasets"]["d1"]["instances"] == len(rows) < len(texts)


def test_spans_and_words_lead_where_the_files_say(results, page):
    content, columns = opened(page, "tiny/d1/sft")
    folder = results / "cells/tiny/d1/sft/ask"
    site, _ = data(page, "site")
    ids = [row[0] for file in site["datasets"]["d1"]["files"] for row in data(page, file)[0]["instances"]]
    trace = read_parquet(folder / "trace/oracle.parquet").to_pylist()
    spans = content["markers"]["oracle"]["spans"]
    first = 0
    for place, start, end, kind, note, origin, traced in spans:
        own = [row for row in trace if (row["id"], row["start"], row["end"]) == (content["ids"][place], start, end)]
        assert (kind, note, origin) == ("not factual", "It is <b>not</b> so.", None)
        assert traced == [3, 4, 2, 0.031, len(own)]
        at = slice(first, first + len(own))
        assert [ids[i] for i in columns["trace/oracle/instance"][at]] == [row["instance"] for row in own]
        assert columns["trace/oracle/rank_fused"][at].tolist() == [row["rank_fused"] for row in own]
        assert not columns["trace/oracle/rank_gradient"][at].any()
        first += len(own)
    assert first == len(trace) == len(columns["trace/oracle/instance"])
    words = read_parquet(folder / "words.parquet").to_pylist()
    assert columns["words/of"].sum() == len(words)
    assert columns["words/start"].tolist() == [word["start"] for word in words]
    assert [ids[i] for i in columns["words/candidate"]] == [id_ for word in words for id_ in word["candidates"]]
    assert content["borrowing"][0] == ["shifted", 1, "all", "observed", 16 * 12, 20 * 12]


def test_the_same_results_make_the_same_bytes(results, page, tmp_path):
    build(results, tmp_path / "again")
    files = sorted(path.relative_to(page) for path in page.rglob("*") if path.is_file())
    assert files == sorted(
        path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()
    )
    assert all((page / file).read_bytes() == (tmp_path / "again" / file).read_bytes() for file in files)


def test_no_text_of_the_results_stands_in_a_script_as_it_is(page):
    for file in (page / "data").glob("*.js"):
        assert DATA_FILE.fullmatch(file.read_text(ENCODING)), file


def test_hostile_answers_come_through_whole(results, page):
    content, columns = opened(page, "tiny/d1/lft")
    texts = dict(zip(content["ids"], content["texts"], strict=True))
    assert "</script><img" in texts[FIRST_ID]
    assert "\u2028" in texts[FIRST_ID]
    assert len(texts[HUGE_ID]) > 100_000
    assert texts[EMPTY_ID] == ""
    assert columns["tokens"][content["ids"].index(EMPTY_ID)] == 0


FILES = [
    "cells/tiny/d1/lft/manifest.json",
    "cells/tiny/d1/lft/ask/responses.parquet",
    "cells/tiny/d1/lft/ask/shift.parquet",
    "cells/tiny/d1/lft/ask/verdicts/gpt.parquet",
    "cells/tiny/d1/lft/ask/spans/oracle.parquet",
    "cells/tiny/d1/lft/ask/trace/oracle.parquet",
    "cells/tiny/d1/lft/ask/words.parquet",
    "cells/tiny/d1/lft/ask/borrowing.parquet",
    "evalsets/ask.parquet",
    "data/d1.parquet",
    "tables/claims.csv",
    "figures/odd_figure.svg",
    "models/tiny/tokenizer.json",
]


@pytest.mark.parametrize("file", FILES)
def test_a_page_is_made_without_any_one_file(copy, tmp_path, file):
    (copy / file).unlink()
    build(copy, tmp_path / "report")
    site, _ = data(tmp_path / "report", "site")
    if file.startswith("cells"):
        missing = [command for row in site["cells"] for _, done, command in row["stages"] if not done]
        assert missing == [f"snakemake {copy / file}"]


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith(".parquet")])
@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_a_file_that_cannot_be_read_is_named(copy, tmp_path, file, damage):
    path = copy / file
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        shutil.copyfile(copy / "cells/tiny/d1/sft/ask/verdicts/gpt.parquet", path)
        if "verdicts" in file:
            shutil.copyfile(copy / "data/d1.parquet", path)
    if damage == "foreign" and file == "data/d1.parquet":
        path.write_bytes((copy / "evalsets/ask.parquet").read_bytes())
    build(copy, tmp_path / "report")
    problems = data(tmp_path / "report", "site")[0]["problems"]
    assert any(problem.startswith(file) for problem in problems), problems
    assert all(str(copy) not in problem for problem in problems)


def test_a_table_that_is_not_what_the_registry_says_is_shown_value_by_value(copy, tmp_path):
    (copy / "tables/shift.csv").write_bytes(b"model,value\r\ntiny,\xff\r\nshort\n")
    build(copy, tmp_path / "report")
    table, _ = data(tmp_path / "report", "table-shift")
    assert table["rows"] == [["tiny", "\ufffd"], ["short", ""]]
    assert table["wide"] == []
    assert any("shift.csv" in problem for problem in data(tmp_path / "report", "site")[0]["problems"])


def test_an_empty_grid_makes_a_page(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none/grid.json").write_text("[]")
    build(tmp_path / "none", tmp_path / "report")
    site, _ = data(tmp_path / "report", "site")
    assert (site["cells"], site["tables"], site["problems"]) == ([], [], [])


def test_a_page_that_cannot_be_made_leaves_the_old_one(copy, tmp_path):
    out = tmp_path / "report"
    out.mkdir()
    (out / "index.html").write_text("old")
    (copy / "grid.json").unlink()
    with pytest.raises(CloserlookError, match=r"grid\.json: not found"):
        build(copy, out)
    assert [path.name for path in tmp_path.iterdir() if "report" in path.name] == ["report"]
    assert (out / "index.html").read_text() == "old"


def test_the_page_says_only_what_it_loads_itself(page):
    text = (page / "index.html").read_text()
    assert "Content-Security-Policy" in text
    for loaded in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert (page / loaded).is_file(), loaded
    own = [path for path in page.glob("*.*") if path.suffix in (".js", ".css", ".html")]
    assert not any(re.search(r"https?://|innerHTML|\beval\b", path.read_text()) for path in own)
