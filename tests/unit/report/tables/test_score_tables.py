"""Tables of judges' scores: against the recorded verdicts, against plain loops, and over hostile and missing files."""

import json
import statistics
from pathlib import Path

import pytest
from tests.support.grid import grid_row
from tests.support.judged import answers, aspects_of, measure, questions, values, write
from tests.support.synthetic import JUDGES, Folder, fill, random_verdicts, verdict_row

from closerlook.config.rows import read_grid
from closerlook.core.files import read_parquet, write_csv
from closerlook.judge.aspects import ASPECTS
from closerlook.judge.parsing import parse
from closerlook.report.tables.build import build
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.scores import measure_tasks
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections, widen

SCORES = {name: TABLES[name] for name in ("scores_by_aspect", "scores_by_task", "score_differences", "judge_agreement")}

RECORDED = {
    "helpfulness": (4.605, 0, 4.605),
    "clarity": (4.8975, 0, 4.8975),
    "factuality": (4.5352, 17, 4.555),
    "depth": (3.3008, 1, 3.305),
    "engagement": (3.375, 0, 3.375),
}
"""Of verdicts 0 to 399: the mean without N/A, how many N/A, the mean with N/A as 5."""


# ------------------------------------------------------------------------------------------------ the recorded verdicts


def test_recorded_verdicts_have_their_means(shared: Path, tmp_path: Path) -> None:
    """Under both policies for N/A the means are those of the paper's own judge's verdicts, computed before this project."""
    lines = (shared / "data" / "judge_gpt4_1106" / "verdicts_000_399.jsonl").read_text(encoding="utf-8").splitlines()
    recorded = [json.loads(line) for line in lines]
    rows = [
        verdict_row(str(one["id"]), verdict.aspect, verdict.score, verdict.null_cause)
        for one in recorded
        for verdict in parse(one["result"], ASPECTS)
    ]
    verdicts = write(rows, tmp_path / "v.parquet")
    responses = answers({str(one["id"]): one["output_cand"] for one in recorded}, tmp_path / "r.parquet")
    found = aspects_of(verdicts, responses)
    for aspect, (excluded, na, five) in RECORDED.items():
        assert found[aspect, "score"].value == pytest.approx(excluded, abs=5e-5)  # they are given with four decimals
        assert found[aspect, "score"][3:] == (400 - na, na)
        assert found[aspect, "score_na_five"].value == pytest.approx(five, abs=5e-5)
        assert found[aspect, "score_na_five"][3:] == (400, 0)
        assert {name: found[aspect, f"null_{name}"].value for name in ("refused", "unparsable", "error")} == {
            "refused": 0,
            "unparsable": 0,
            "error": 0,
        }
        assert found[aspect, "null_not_applicable"].value == na
        # section 4 of what is weak in the paper: 0.03 to 0.06 at n = 800, so at most about 0.09 at 400
        assert 0.01 < found[aspect, "score"].high - found[aspect, "score"].low < 0.25
        # one cell alone is at the mean length already
        assert found[aspect, "score_length_controlled"].value == pytest.approx(excluded, abs=0.02)


def test_recorded_verdicts_by_task(shared: Path, tmp_path: Path) -> None:
    """Both conventions against a plain loop, with just-eval's real task types, several to an instruction."""
    recorded = [json.loads(line) for line in (shared / "data/judge_gpt4_1106/verdicts_000_399.jsonl").open()]
    asked = [json.loads(line) for line in (shared / "data/just_eval_instruct.jsonl").open()]
    types = {str(one["id"]): one["task_types"] for one in asked}
    parsed = {str(one["id"]): parse(one["result"], ASPECTS) for one in recorded}
    rows = [verdict_row(id_, v.aspect, v.score, v.null_cause) for id_, all_ in parsed.items() for v in all_]
    found = {
        (keys["task_type"], keys["aspect"], metric): estimate
        for keys, metric, estimate in measure_tasks(
            write(rows, tmp_path / "v.parquet"), questions(types, tmp_path / "e.parquet")
        )
    }
    names = {name for id_ in parsed for name in types[id_]}
    assert {task for task, _, _ in found} == names
    assert {"info-seek", "math", "coding", "procedure", "reasoning", "role-play", "writing"} <= names
    for task in names:
        chosen = [all_ for id_, all_ in parsed.items() if task in types[id_]]
        means = [statistics.fmean(v.score for v in all_ if v.score) for all_ in chosen]
        five = [statistics.fmean(v.score or 5 for v in all_) for all_ in chosen]
        assert found[task, "mean", "score"].value == pytest.approx(statistics.fmean(means), rel=1e-12)
        assert found[task, "mean", "score_na_five"].value == pytest.approx(statistics.fmean(five), rel=1e-12)
        helpful = statistics.fmean(all_[0].score for all_ in chosen)
        assert found[task, "helpfulness", "score"].value == pytest.approx(helpful, rel=1e-12)
        assert found[task, "helpfulness", "score"].n == len(chosen)


# ------------------------------------------------------------------------------------------------------ the four tables


@pytest.fixture
def judged(folder: Folder) -> Folder:
    """Two datasets, two methods, two controls, two judges."""
    fill(folder, ("brief@1k", "verbose@1k"), ("lft", "sft"), responses=40)
    return folder


def scores_in(folder: Folder, cell: str, judge: str) -> dict[tuple[str, str], int | None]:
    rows = read_parquet(folder.path / "cells" / cell / "ask" / "verdicts" / f"{judge}.parquet").to_pylist()
    return {(row["id"], row["aspect"]): row["score"] for row in rows}


def test_differences_are_paired_and_corrected_over_the_table(judged: Folder) -> None:
    rows = measure("score_differences", judged)
    cells = {row.cell: row.model_dump() for row in read_grid(judged.path)}
    pairs = {(row["dataset"], row["method"], row["against"]) for row in rows}
    assert pairs == {
        *((d, m, "tiny/none/base") for d in ("brief", "verbose") for m in ("lft", "sft")),
        *((d, "sft", f"tiny/{d}@1k/lft") for d in ("brief", "verbose")),
        ("", "icl", "tiny/none/base"),
    }
    found = values(rows, "dataset", "method", "judge", "against", "aspect")
    raw = []
    for judge in JUDGES:
        for dataset, method, against in pairs:
            cell = next(c for c, row in cells.items() if (row["dataset"], row["method"]) == (dataset, method))
            one, other = scores_in(judged, cell, judge), scores_in(judged, against, judge)
            for aspect in ASPECTS:
                both = [(one[key], other[key]) for key in one if key[1] == aspect]
                kept = [a - b for a, b in both if a is not None and b is not None]
                key = (dataset, method, judge, against, aspect)
                assert found[*key, "difference"] == pytest.approx(statistics.fmean(kept), abs=1e-12)
                (row,) = [
                    r
                    for r in rows
                    if r["metric"] == "p"
                    and tuple(r[k] for k in ("dataset", "method", "judge", "against", "aspect")) == key
                ]
                assert (row["n"], row["n_null"]) == (len(kept), 40 - len(kept))
                raw.append((found[*key, "p"], found[*key, "p_holm"]))
    assert len(raw) == len(rows) / 3 == 2 * 7 * 5
    assert min(p for _, p in raw) == pytest.approx(min(1.0, len(raw) * min(p for p, _ in raw)), rel=1e-12)
    assert all(p <= corrected <= 1 for p, corrected in raw)


def test_comparisons_grow_with_the_cells_alone() -> None:
    """Ten seeds of ten datasets of four methods: at most two comparisons to a cell; no seed against another's."""
    grid = [
        grid_row(cell=f"m/d{d}@1k/{method}{f'-s{s}' if s else ''}", method=method, judges=["j"])
        for d in range(10)
        for method in ("lft", "sft", "nft", "lft-16")
        for s in range(10)
    ]
    part = SCORES["score_differences"].parts[0]
    alone = list(part.rows(grid))
    assert len(alone) == 300  # without a base control in the grid
    assert {row["against"].rpartition("/")[2].partition("-")[0] for row in alone} == {"lft"}
    assert all(row["cell"].partition("-s")[2] == row["against"].partition("-s")[2] for row in alone)
    base = grid_row(cell="m/none/base", method="base", judges=["j"])
    assert len(list(part.rows([*grid, base]))) == 700
    assert len(list(part.rows([*grid, base | {"evalset": "med"}]))) == 300  # answered, but on other instructions


def test_agreement_of_the_judges_of_a_grid(judged: Folder) -> None:
    rows = measure("judge_agreement", judged)
    assert {(row["model"], row["method"], row["evalset"], row["judge"], row["against"]) for row in rows} == {
        ("", "", "ask", *JUDGES)
    }
    found = values(rows, "aspect", "pair")
    cells = [row.cell for row in read_grid(judged.path)]
    both = [
        (a, b)
        for cell in cells
        for a, b in zip(*(scores_in(judged, cell, judge).items() for judge in JUDGES), strict=True)
    ]
    depth = [(a, b) for (key, a), (_, b) in both if key[1] == "depth" and a is not None and b is not None]
    assert found["depth", "", "responses"] == len(depth)
    assert found["depth", "", "cells"] == len(cells) == 6
    assert found["depth", "", "mean_difference"] == pytest.approx(statistics.fmean(b - a for a, b in depth), rel=1e-12)


def test_inputs_name_every_file_that_is_read() -> None:
    base = grid_row(cell="m/none/base", method="base", judges=["a", "b"])
    tuned = base | {"cell": "m/it@1k/sft", "dataset": "it", "method": "sft"}
    grid = [base, tuned]
    files = [f"cells/{cell}/ask/verdicts/{judge}.parquet" for cell in ("m/none/base", "m/it@1k/sft") for judge in "ab"]
    assert sorted(SCORES["judge_agreement"].inputs(grid)) == sorted(files)
    assert sorted(SCORES["score_differences"].inputs(grid)) == sorted(files)
    assert sorted(SCORES["scores_by_task"].inputs(grid)) == sorted([*files, "evalsets/ask.parquet"])
    assert len(SCORES["scores_by_aspect"].inputs(grid)) == 6
    unjudged = [row | {"judges": []} for row in grid]
    for name, table in SCORES.items():
        assert table.inputs(unjudged) == []
        assert not table.fits(unjudged)
        assert table.fits(grid)
        assert table.fits([row | {"judges": ["a"]} for row in grid]) == (name != "judge_agreement")


@pytest.mark.parametrize("name", SCORES)
def test_missing_cells_stay_in_the_table(judged: Folder, name: str, tmp_path: Path) -> None:
    """A cell that is not judged yet, and one that only the first judge has seen."""
    unjudged = judged.cell("verbose@2k", "sft")
    half = judged.path / "cells" / "tiny/brief@1k/sft" / "ask" / "verdicts" / "beta.parquet"
    half.unlink()
    table = TABLES[name]
    rows, missing = build(name, table, judged.path, ["--configfile", "my preset.yaml"])
    commands = {item.command for item in missing}
    assert f"snakemake {half.as_posix()} --configfile 'my preset.yaml'" in commands
    assert f"snakemake {(unjudged / 'verdicts' / 'alpha.parquet').as_posix()} --configfile 'my preset.yaml'" in commands
    assert {item.needed_by for item in missing} == {"tiny/verbose@2k/sft on ask", "tiny/brief@1k/sft on ask"}
    empty = [row for row in rows if row["n"] == row["n_null"] == 0]
    if name == "judge_agreement":  # of the cells that are left
        assert {row["value"] for row in rows if row["metric"] == "cells"} == {5.0}
    else:
        assert {(row["dataset"], row["size"], row["method"], row["judge"]) for row in empty} == {
            ("verbose", 2000, "sft", "alpha"),
            ("verbose", 2000, "sft", "beta"),
            ("brief", 1000, "sft", "beta"),
        }
        assert {row["value"] for row in empty} == {None}
    write_csv(rows, table.columns, tmp_path / f"{name}.csv")
    read = read_csv(tmp_path / f"{name}.csv", table)
    page = to_markdown(sections(read, table), table, missing, "x")
    assert (name == "judge_agreement") != ("no data" in page)
    assert page.count("\n## ") == len(table.sections) + 1
    for block in page.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1
    assert to_latex(sections(read, table), table, missing, "x").count("\\begin{") >= 1
    headings = {cell for line in widen(read, table, brief=True).lines for cell in line}
    assert not {"gap", "null"} & headings


def test_the_first_section_is_the_papers_table(judged: Folder, tmp_path: Path) -> None:
    """A line per cell and judge, a column per aspect; causes of nulls only where there are any."""
    for file in judged.path.glob("cells/**/verdicts/*.parquet"):
        rows = random_verdicts(0, 40, null=0)
        write([*rows[:2], rows[2] | {"score": None, "null_cause": "not applicable"}, *rows[3:]], file)
    table = TABLES["scores_by_aspect"]
    write_csv(measure("scores_by_aspect", judged), table.columns, tmp_path / "t.csv")
    drawn = sections(read_csv(tmp_path / "t.csv", table), table)
    assert drawn[0].header == ["dataset", "size", "method", "judge", *ASPECTS, "n"]
    assert len(drawn[0].lines) == 6 * 2
    assert drawn[0].common == "model tiny, seed 0, evalset ask, version v1"
    assert drawn[3].header == ["judge", *ASPECTS, "n"]  # one slope for all cells
    assert len(drawn[3].lines) == 2
    assert drawn[4].header == ["dataset", "size", "method", "judge", "not applicable, factuality", "n"]
    assert {line[4] for line in drawn[4].lines} == {"1"}
    assert [wide.section for wide in drawn] == list(table.sections)


def test_two_versions_of_a_judge_are_seen(judged: Folder) -> None:
    file = judged.path / "cells" / "tiny/brief@1k/sft" / "ask" / "verdicts" / "alpha.parquet"
    rows = read_parquet(file).to_pylist()
    write([row | {"judge": "v2" if int(row["id"]) > 20 else "v1"} for row in rows], file)
    versions = {
        (row["method"], row["dataset"]): row["version"]
        for row in measure("scores_by_aspect", judged)
        if row["judge"] == "alpha"
    }
    assert versions["sft", "brief"] == "v1 + v2"
    assert versions["lft", "brief"] == "v1"
    assert {
        row["version"] for row in measure("score_differences", judged) if row["against"] == "tiny/brief@1k/lft"
    } >= {"v1 + v2 / v1"}
