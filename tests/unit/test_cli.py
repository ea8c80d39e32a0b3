"""The command `closerlook`: its help and version, pipes, and configuration as Snakemake takes it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.support import REPOSITORY

from closerlook import __version__, cli
from closerlook.core.files import write_csv
from closerlook.report.tables.registry import TABLES

PROGRAM = Path(sys.executable).with_name("closerlook")
PRESET = {
    "preset": "first",
    "template": "miniature",
    "grid": [{"models": ["miniature"], "datasets": ["brief"], "methods": ["lft"], "evalsets": ["questions"]}],
}


def closerlook(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


def test_bare_it_prints_its_help_and_its_version_is_the_package_s() -> None:
    bare = closerlook()
    assert bare.returncode == 0
    assert "usage: closerlook" in bare.stdout
    assert closerlook("--version").stdout.strip() == f"closerlook {__version__}"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    piped = f"'{PROGRAM}' check --configfile config/paper.yaml | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", piped], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the presets first.yaml and second.yaml, and tables of `first` and `third`."""
    (tmp_path / "first.yaml").write_text(yaml.safe_dump(PRESET))
    (tmp_path / "second.yaml").write_text(yaml.safe_dump({"preset": "second"}))
    for preset in ("first", "third"):
        tables = tmp_path / "results" / preset / "tables"
        tables.mkdir(parents=True)
        write_csv([], TABLES["lengths"].columns, tables / "lengths.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["closerlook", *arguments])
    cli.main()


def test_several_files_and_values_reach_a_command(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--configfile", "first.yaml", "second.yaml", "--config", "preset=third"]
    run(monkeypatch, "check", *words)
    assert "miniature/brief/lft" in capsys.readouterr().out
    run(monkeypatch, "status", "--json", *words)
    assert json.loads(capsys.readouterr().out)["results"] == "results/third"


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["results/first"], "results/first"),
        (["--configfile", "first.yaml"], "results/first"),
        (["--configfile", "first.yaml", "second.yaml", "--config", "preset=third"], "results/third"),
    ],
)
def test_show_prints_the_tables_of_a_folder_or_of_a_configuration(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    folder: str,
) -> None:
    run(monkeypatch, "show", *arguments)
    assert f"  {folder}/tables/lengths.md" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["results/first", "--configfile", "first.yaml"], "results/first"),
        (["--configfile", "first.yaml", "second.yaml"], "results/second"),
        (["--configfile", "other.yaml"], "other.yaml"),
        ([], "config/mini.yaml"),
    ],
)
def test_show_refuses_what_names_no_results(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, "show", *arguments)
    assert end.value.code == 2
    assert named in capsys.readouterr().err
