"""The scripts and the registry as the workflow uses them: inputs, partial tables, same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import REPOSITORY
from tests.support.grid import grid_row
from tests.support.synthetic import Folder

from closerlook.config.rows import read_grid
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_csv, write_json, write_text
from closerlook.report.figures.registry import FIGURES
from closerlook.report.tables.build import build
from closerlook.report.tables.pooling import summarized
from closerlook.report.tables.registry import IDENTITY, TABLES, VALUE
from closerlook.report.tables.show import show, show_results
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import widen

OWN = ("accuracy", "claims", *(n for n in TABLES if TABLES[n].selective or TABLES[n].asks_for not in ("", "judges")))
"""Have their own tests."""
MADE = [name for name in TABLES if name not in OWN]
BY_CELL = [name for name in MADE if name not in ("score_differences", "judge_agreement")]  # which are of several cells


def script(name: str, *arguments: object, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "workflow" / "scripts" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def make_table(name: str, results: Path, *more: str) -> None:
    done = script(
        "table",
        name,
        "--results",
        results.name,
        "--out",
        f"{results.name}/tables/{name}.csv",
        *more,
        cwd=results.parent,
    )
    assert done.returncode == 0, done.stderr


HEAVY = {
    "torch",
    "transformers",
    "pandas",
    "matplotlib",
    "scipy.stats",
    "wordfreq",
    "spacy",
    "faiss",
    "openai",
    "datasets",
}
"""What takes long to import; numpy and pyarrow are there in every job anyway (core.files)."""


def test_registries_are_light() -> None:
    code = (
        "import sys, closerlook.report.tables.registry, closerlook.report.figures.registry;"
        f"print([m for m in {sorted(HEAVY)} if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", ["table", "figure"])
def test_help_imports_nothing_heavy(name: str) -> None:
    path = REPOSITORY / "workflow" / "scripts" / f"{name}.py"
    command = [sys.executable, "-X", "importtime", str(path), "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "closerlook" in imported
    assert not imported & HEAVY
    assert all(known in done.stdout for known in (TABLES if name == "table" else FIGURES))


def test_inputs_of_a_grid() -> None:
    control = grid_row(cell="m/none/base", method="base")
    trained = control | {"cell": "m/it@1k/lft-s1", "dataset": "it", "size": 1000, "method": "lft", "seed": 1}
    grid = [control, trained, trained | {"evalset": "med"}]
    assert TABLES["shift"].inputs(grid) == [
        "cells/m/it@1k/lft-s1/ask/shift.parquet",
        "cells/m/it@1k/lft-s1/med/shift.parquet",
    ]
    assert TABLES["cells"].inputs(grid) == [
        "cells/m/it@1k/lft-s1/manifest.json",
        "cells/m/it@1k/lft-s1/train_log.jsonl",
    ]
    assert TABLES["lengths"].inputs(grid) == [
        "data/it@1k.parquet",
        "models/m",
        "cells/m/none/base/ask/responses.parquet",
        "cells/m/it@1k/lft-s1/ask/responses.parquet",
        "cells/m/it@1k/lft-s1/med/responses.parquet",
    ]
    assert TABLES["data"].inputs(grid) == [
        "data/it@1k.parquet",
        "data/it.report.json",
        "evalsets/ask.parquet",
        "data/contamination/it/ask.parquet",
        "evalsets/med.parquet",
        "data/contamination/it/med.parquet",
    ]
    assert TABLES["data"].inputs([control]) == []


def test_every_figure_is_drawn_from_tables_there_are() -> None:
    assert {name for figure in FIGURES.values() for name in figure.tables} <= set(TABLES)


@pytest.mark.parametrize("name", BY_CELL)
def test_tables_hold_every_cell_once(small: Folder, name: str, tmp_path: Path) -> None:
    table = TABLES[name]
    rows, missing = build(name, table, small.path, ["--configfile", "config/my preset.yaml"])
    write_csv(rows, table.columns, tmp_path / "t.csv")
    rows = read_csv(tmp_path / "t.csv", table)
    keys = [tuple(row[column] for column in (*IDENTITY, *table.keys, "metric")) for row in rows]
    assert len(set(keys)) == len(keys)
    assert {row["metric"] for row in rows} == set(table.metrics)
    for part in table.parts:
        wanted = {
            tuple(str(row[c]) if c in part.of and row[c] is not None else "" for c in IDENTITY)
            for row in part.rows(row.model_dump() for row in read_grid(small.path))
        }
        assert wanted <= {tuple(row[c] for c in IDENTITY) for row in rows}
    # the one cell that is not there: a row per metric, empty, and a command for every file
    absent = [row for row in rows if (row["dataset"], row["size"]) == ("verbose", "2000")]
    assert {row["metric"] for row in absent} == {metric for part in table.parts for metric in part.metrics}
    assert {(row["value"], row["ci_low"], row["ci_high"], row["n"], row["n_null"]) for row in absent} == {
        (None, None, None, 0, 0)
    }
    commands = {item.command for item in missing}
    files = table.inputs([row for row in small.rows if row["size"] == 2000 and row["dataset"] == "verbose"])
    expected = {f"snakemake {(small.path / path).as_posix()} --configfile 'config/my preset.yaml'" for path in files}
    assert commands == {command for command in expected if not Path(command.split()[1]).exists()}
    assert commands


@pytest.mark.parametrize("name", ["shift", "data", "cells"])
def test_same_bytes_again(small: Folder, name: str) -> None:
    contents = []
    for _ in range(2):
        make_table(name, small.path)
        contents.append({path.name: path.read_bytes() for path in sorted((small.path / "tables").iterdir())})
        for path in (small.path / "tables").iterdir():
            path.unlink()
    assert sorted(contents[0]) == [f"{name}.csv", f"{name}.md", f"{name}.tex"]
    assert contents[0] == contents[1]


def test_what_a_markdown_page_says(small: Folder) -> None:
    make_table("shift", small.path, "--configfile", "config/small.yaml")
    page = (small.path / "tables" / "shift.md").read_text()
    assert page.startswith(f"# {TABLES['shift'].title}")
    for words in ("Figure 1", "95%", "bootstrap", "model tiny, seed 0, evalset ask"):
        assert words in page, words
    assert "## Missing" in page
    missing = "snakemake mini/cells/tiny/verbose@2k/sft/ask/shift.parquet"
    snakefile = REPOSITORY / "Snakefile"  # there is none in this folder
    assert f"`{missing} --snakefile {snakefile} --cores all --configfile config/small.yaml`" in page
    assert "`python workflow/scripts/table.py shift --results mini --out mini/tables/shift.csv`" in page
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 7
    assert len({line.count("|") for line in lines}) == 1
    header = (small.path / "tables" / "shift.csv").read_text().splitlines()[0]
    assert header == "model,dataset,size,method,seed,evalset,metric,value,ci_low,ci_high,n,n_null"


@pytest.mark.parametrize("name", MADE)
def test_nothing_is_there_yet(folder: Folder, name: str) -> None:
    """A grid of which not one cell is made still has its table."""
    folder.cell("brief@1k", "lft")
    folder.cell("", "base")
    make_table(name, folder.path)
    assert "no data" in (folder.path / "tables" / f"{name}.md").read_text()
    assert read_csv(folder.path / "tables" / f"{name}.csv", TABLES[name])


def test_a_grid_of_controls_has_no_shift(folder: Folder) -> None:
    folder.cell("", "base")
    make_table("shift", folder.path)
    assert "The grid has no cell that this table is about." in (folder.path / "tables" / "shift.md").read_text()
    assert (folder.path / "tables" / "shift.csv").read_text().count("\n") == 1


def test_one_response_has_no_interval(folder: Folder) -> None:
    from tests.support.synthetic import shift_row

    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import SHIFT

    write_parquet([shift_row("a", base_rank=[1, 7])], SHIFT, folder.cell("brief@1k", "lft") / "shift.parquet")
    make_table("shift", folder.path)
    rows = read_csv(folder.path / "tables" / "shift.csv", TABLES["shift"])
    assert {(row["ci_low"], row["ci_high"], row["n"]) for row in rows} == {(None, None, 1)}
    assert next(row for row in rows if row["metric"] == "base_rank")["value"] == 4


def test_errors_name_the_file_and_the_command(folder: Folder) -> None:
    with pytest.raises(CloserlookError, match=r"grid\.json: not found; `snakemake .*grid\.json` writes it"):
        read_grid(folder.path)
    write_json([grid_row() | {"judges": "gpt other"}], folder.path / "grid.json")
    with pytest.raises(CloserlookError, match=r"grid\.json: 0\.judges: found 'gpt other'"):
        read_grid(folder.path)
    done = script("figure", "lengths", "--results", folder.path, "--out", folder.path / "lengths.svg")
    assert done.returncode == 2
    assert "lengths.csv: not found; `snakemake " in done.stderr
    assert "Traceback" not in done.stderr
    write_text("a,b\n", folder.path / "tables" / "lengths.csv")
    with pytest.raises(CloserlookError, match=r"columns are \['a', 'b'\], expected"):
        show(folder.path / "tables" / "lengths.csv")
    with pytest.raises(CloserlookError, match=r"other: has no tables/\*\.csv"):
        show_results(folder.path / "other")
    with pytest.raises(CloserlookError, match="no table is called other; expected one of shift"):
        show(folder.path / "other.csv")


def test_show_obeys_no_markup(small: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    make_table("shift", small.path)
    path = small.path / "tables" / "shift.csv"
    write_text(path.read_text().replace("brief", "[red]b"), path)
    write_text("", small.path / "figures" / "token_shift.png")
    write_text("", small.path / "report" / "index.html")
    show_results(small.path)
    shown = capsys.readouterr().out
    assert shown.endswith(f"  {small.path / 'report' / 'index.html'}\n")
    assert f"  {small.path / 'tables' / 'shift.md'}" in shown
    assert f"  {small.path / 'figures' / 'token_shift.png'}" in shown
    shown = shown[: shown.index("Tables:")]
    assert "[red]b" in shown
    assert "no data" in shown
    assert max(map(len, shown.splitlines())) <= 110
    assert VALUE[0] not in shown


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "docs/results/miniature").glob("*.csv")), ids=lambda path: path.stem
)
def test_show_breaks_no_number_and_cuts_no_label(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However many columns a table has: each line has its labels and its first number whole, and what is left out is counted."""
    show(path)
    shown = capsys.readouterr().out
    wide = widen(summarized(read_csv(path, TABLES[path.stem])), TABLES[path.stem], brief=True)
    first = wide.align.index("r")
    lines = shown.splitlines()
    for line in wide.lines[:40]:
        whole = [cell for cell in line[: first + 1] if len(cell) <= 40]
        assert any(all(cell in words for cell in whole) for words in lines), line
    assert max(map(len, lines)) <= 110 or f" of {len(wide.header)} columns;" in shown
