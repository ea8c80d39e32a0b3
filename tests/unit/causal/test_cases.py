"""Case sheets: all facts about a span, and untrusted text is escaped."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY

from closerlook.causal.cases import Paraphrases, Sources, bold, find_phrase, write_cases
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import EVALSET, INSTANCES, RESPONSES, SPANS, TRACE
from closerlook.spans.inputs import words_only

HOSTILE = "# x\n- y | <script>alert(1)</script> **b** [l](javascript:x) \0 \u202e e\u0301 ``` $x$ @all"
texts = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from([HOSTILE, "", "שלום", ".*"])


@given(texts, texts, texts)
def test_a_phrase_is_found_where_its_words_are(before, phrase, after):
    text = f"{before} {phrase} {after}"
    match_range = find_phrase(phrase, text)
    assert (match_range is not None) == (words_only(phrase) != "" and words_only(phrase) in words_only(text))
    if match_range:
        assert words_only(text[slice(*match_range)]) == words_only(phrase)


@given(texts, st.data())
def test_bold_text_is_a_single_harmless_line(text, data):
    start = data.draw(st.integers(0, len(text)))
    match_range = (start, data.draw(st.integers(start, len(text))))
    line = bold(text, match_range)
    assert line.count("<strong>") == line.count("</strong>") == 1
    rest = line.replace("<strong>", "").replace("</strong>", "")
    assert not re.search(r"(?<!\\)[|`*_\[\]]|[<>\n\r\0\u2028]", rest)
    assert bold(text, None) == bold(text, (0, 0)).removeprefix("<strong></strong>")


def files(folder, text, **change):
    """The files of a cell with a response to each of two instructions and spans in the first."""
    (folder / "f").mkdir(exist_ok=True)

    def write(name, rows, schema):
        full = [dict.fromkeys(schema.names) | row for row in rows]
        write_parquet(full, schema, folder / "f" / name)
        return folder / "f" / name

    def write_responses(name, texts):
        shared = {"prompt": "", "prompt_token_ids": [1], "token_ids": [], "finish_reason": "eos"}
        return write(name, [shared | {"id": id_, "text": answer} for id_, answer in texts.items()], RESPONSES)

    def write_evalset(name, texts):
        shared = {"task_types": [], "topics": [], "source": "e"}
        return write(name, [shared | {"id": id_, "instruction": question} for id_, question in texts.items()], EVALSET)

    span = {"id": "a", "start": len(text) + 1, "end": len(text) + 6}
    measures = {"semantic": 0.5, "keyword": 0.25, "verbatim": True}
    sources = {
        "spans": write("spans", [span | {"marker": "m"}], SPANS),
        "trace": write(
            "trace",
            [span | measures | {"instance": f"i{n}", "rank_fused": 3 - n, "rank_bm25": n} for n in (1, 2)],
            TRACE,
        ),
        "responses": write_responses("responses", {"a": f"{text} cello", "b": "."}),
        "evalset": write_evalset("evalset", {"a": f"Which? {text}", "b": "?"}),
        "data": write(
            "data",
            [
                {"id": f"i{n}", "instruction": text, "response": "z " * 900 + "CELLO", "source": text, "row": n}
                for n in (1, 2)
            ],
            INSTANCES,
        ),
        "peers": {"lft": write_responses("lft", {"a": f"no {text}", "b": ""})},
        "paraphrases": Paraphrases(
            write_evalset("worded", {"a/p1": f"What? {text}", "a/p2": "Eh?"}),
            write_responses("answered", {"a/p1": "a cello", "a/p2": "cellos"}),
        ),
    }
    return Sources(**sources | change)


@pytest.mark.parametrize("text", ["plain", HOSTILE, "", "x" * 100_000])
def test_a_case_shows_all_there_is(tmp_path, text):
    out = tmp_path / "case.md"
    write_cases(f"on {text}", "sft", files(tmp_path, text), 5, 0, out)
    page = out.read_text(encoding="utf-8")
    assert len(page.splitlines()) == 16  # untrusted text adds no lines
    rows = [re.split(r"(?<!\\) \| |^\| | \|$", line)[1:-1] for line in page.splitlines() if line.startswith("| ")][2:]
    assert all(len(row) == 2 for row in rows)
    labels = [label.split(":")[0].split(",")[0] for label, _ in rows]
    assert labels == [
        "id", "instruction", "answer of sft", "answer of lft", "most likely source i2", "other candidate i1",
        "in other words", "in other words",
    ]  # fmt: skip
    assert rows[2][1].endswith("<strong>cello</strong>")
    assert "<strong>" not in rows[3][1]
    assert rows[4][1].endswith("<strong>CELLO</strong>")
    assert len(rows[4][1]) < 3500  # only what is around the phrase
    assert [text.partition(":")[0] for _, text in rows[6:]] == ["returned", "not returned"]
    assert "<script" not in page


def test_the_seed_draws_the_cases(tmp_path):
    sources = files(tmp_path, "x")
    empty = dict.fromkeys(SPANS.names)
    many = [empty | {"id": "a", "start": i, "end": i + 1, "marker": "m"} for i in range(7)]
    write_parquet(many, SPANS, tmp_path / "f" / "spans")
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        write_cases("t", "sft", sources, 2, seed, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    assert "source | none found" in (tmp_path / "a").read_text()


def test_files_that_do_not_belong_together_are_named(tmp_path):
    sources = files(tmp_path, "x")
    write_parquet([], INSTANCES, tmp_path / "f" / "data")
    with pytest.raises(CloserlookError, match="no instance with id i2"):
        write_cases("t", "sft", sources, 2, 0, tmp_path / "out.md")


def test_the_script(tmp_path):
    sources = files(tmp_path, "x")
    flags = [f"--{name}={getattr(sources, name)}" for name in ("spans", "trace", "responses", "evalset", "data")]
    flags += [
        "--peers",
        f"lft={sources.peers['lft']}",
        "--paraphrases",
        sources.paraphrases.evalset,
        sources.paraphrases.responses,
    ]
    command = [sys.executable, REPOSITORY / "workflow/scripts/cases.py", "--title", "t", "--run", "sft", *flags]
    done = subprocess.run([*command, "--out", tmp_path / "case.md"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "most likely source i2" in (tmp_path / "case.md").read_text()
    bad = subprocess.run([*command, "--count", "0", "--out", "x"], capture_output=True, text=True, timeout=60)
    assert bad.returncode == 2
    assert "--count: found 0" in bad.stderr
