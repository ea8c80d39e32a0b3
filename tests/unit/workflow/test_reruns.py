"""Only what changed is run again: that is what makes a grid of GPU-days affordable."""

import json
import shlex
import shutil
import subprocess
import sys

from tests.support.cell_results import attempt
from tests.support.workflow_project import Project

from closerlook.cluster import attempts

ONE_CELL = {"train": 1, "generate": 1, "shift": 1}
CELLS = "results/dag/cells/miniature"
DRAWN = ("all", "table", "figure", "page", "grid")


def jobs(project: Project) -> dict[str, int]:
    """A dry run's jobs, without what every change must draw again."""
    return {rule: n for rule, n in project.plan().items() if rule not in DRAWN}


def test_nothing_is_done_twice(project: Project) -> None:
    assert project.plan() == {}


def test_a_line_added_to_the_grid_runs_its_cells_alone(project: Project) -> None:
    project.preset["grid"].append(
        {"models": ["miniature"], "datasets": ["verbose"], "methods": ["sft"], "evalsets": ["questions"]}
    )
    assert jobs(project) == {**ONE_CELL, "dataset": 1, "contamination": 1}


def test_a_seed_added_runs_its_cells_alone(project: Project) -> None:
    project.preset["grid"][0]["seeds"] = [0, 1]
    assert jobs(project) == {"train": 4, "generate": 4, "shift": 4}


def test_benchmarks_score_each_cell_and_its_base_once_and_train_nothing(project: Project) -> None:
    project.preset["benchmarks"] = ["miniature"]
    assert jobs(project) == {"benchmarks": 5}
    project.snakemake("--until", "benchmarks")
    assert "benchmarks" not in jobs(project)
    (project.folder / f"{CELLS}/none/base/benchmarks/corpus.parquet").unlink()
    assert jobs(project) == {"benchmarks": 1}
    (project.folder / "own.jsonl").write_text("")
    (project.folder / "own.yaml").write_text("tasks: [{name: own, kind: rolling, file: own.jsonl}]")
    project.preset["benchmarks"] = ["own.yaml"]
    assert jobs(project) == {"benchmarks": 5}


def test_texts_are_fetched_once_and_read_by_each_cell_and_its_base(project: Project) -> None:
    (project.folder / "own.txt").write_text("")
    text = {"source": {"file": "own.txt"}, "separator": " | ", "pieces": 7, "max_tokens": 9}
    project.preset |= {"retention": ["corpus", "own"], "overrides": {"texts": {"own": text}}}
    assert jobs(project) == {"text": 2, "retention": 5}
    project.snakemake("--until", "retention")
    assert not {"text", "retention"} & set(jobs(project))
    fetched, read, controlled = (
        shlex.split((project.folder / path).read_text())
        for path in (
            "results/dag/texts/own.parquet",
            f"{CELLS}/brief/sft/retention/own.parquet",
            f"{CELLS}/none/base/retention/own.parquet",
        )
    )
    assert shlex.join(fetched).startswith("--source results/dag/texts/own.source.json --column text --pieces 7")
    base = "results/dag/models/miniature"
    assert (flag(read, "--base"), flag(read, "--tuned")) == (base, f"{CELLS}/brief/sft/model")
    assert (flag(controlled, "--base"), flag(controlled, "--tuned")) == (base, base)
    assert read[read.index("--max-tokens") + 1 :][:2] == ["512", "9"]
    text["max_tokens"] = 10
    assert jobs(project) == {"retention": 5}
    text |= {"max_tokens": 9, "pieces": 8}
    assert jobs(project) == {"text": 1, "retention": 5}


def flag(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_a_deleted_result_runs_its_cell_alone(project: Project) -> None:
    shutil.rmtree(project.folder / CELLS / "brief/sft")
    assert jobs(project) == ONE_CELL


def test_deleted_responses_train_nothing(project: Project) -> None:
    (project.folder / CELLS / "brief/sft/questions/responses.parquet").unlink()
    assert jobs(project) == {"generate": 1, "shift": 1}


def test_another_learning_rate_trains_that_methods_cells_alone(project: Project) -> None:
    project.preset["overrides"] = {"methods": {"sft": {"train": {"learning_rate": 0.25}}}}
    assert jobs(project) == {"train": 2, "generate": 2, "shift": 2}


def test_another_source_makes_its_dataset_and_trains_its_cells(project: Project) -> None:
    (project.folder / "mine.jsonl").touch()
    project.preset["overrides"] = {"datasets": {"brief": {"source": {"file": "mine.jsonl"}}}}
    assert jobs(project) == {"dataset": 1, "subset": 1, "contamination": 1, "train": 4, "generate": 4, "shift": 4}
    source = project.folder / "results/dag/data/brief.source.json"
    assert json.loads(source.read_text()) == {"file": "results/dag/miniature/datasets/brief.jsonl"}
    project.snakemake("--until", "dataset")
    assert json.loads(source.read_text()) == {"file": "mine.jsonl"}


def test_another_launch_trains_nothing(project: Project) -> None:
    launch = {"full": {"micro_batch": 1, "ranks": 2, "gradient_checkpointing": True}}
    project.preset["overrides"] = {
        "models": {"miniature": {"threads": 2, "launch": launch, "generate": {"batch_size": 1}}}
    }
    assert jobs(project) == {}


def test_more_new_tokens_answer_again_and_train_nothing(project: Project) -> None:
    project.preset["generate"] = {"max_new_tokens": 7}
    assert jobs(project) == {"generate": 5, "shift": 4}


def test_a_template_with_another_text_trains_all_and_a_touched_one_nothing(project: Project) -> None:
    template = project.folder / "config/prompts/alpaca.txt"
    template.touch()
    assert jobs(project) == {}
    template.write_text("Asked: {instruction}\nAnswered: ")
    assert jobs(project) == {"train": 4, "generate": 5, "shift": 4}


def test_a_failed_cell_stops_no_other_and_its_rerun_is_partial(project: Project) -> None:
    shutil.rmtree(project.folder / CELLS)
    (project.folder / "fail").write_text("brief/sft")
    output = project.snakemake(check=False)
    assert "told to fail" in output
    assert "Status of each cell:" in output
    assert (project.folder / CELLS / "brief/lft/questions/shift.parquet").exists()
    assert not (project.folder / CELLS / "brief/sft/manifest.json").exists()
    (project.folder / "fail").unlink()
    assert jobs(project) == ONE_CELL
    (command,) = (line.split("resume with: ")[1] for line in output.splitlines() if "resume with: " in line)
    subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=project.folder, check=True, capture_output=True)
    assert (project.folder / CELLS / "brief/sft/manifest.json").exists(), "the printed command runs as it is printed"


def test_out_of_memory_halves_what_a_micro_batch_holds(project: Project) -> None:
    """Also where the limit is far above it: a rank has 16 of the 32 instances of a step."""
    launch = {"ranks": 2, "micro_batch": 100, "micro_tokens": 8192}
    project.preset["overrides"] = {"models": {"miniature": {"launch": {"full": launch}}}}
    cell = project.folder / CELLS / "brief/sft"
    shutil.rmtree(cell)
    attempts.write(cell, "train", [attempt(minutes=1, reason="out of memory")])
    output = project.snakemake("--dry-run", "--printshellcmds", f"{CELLS}/brief/sft/manifest.json")
    assert "--micro-batch 8 --micro-tokens 4096" in output
    attempts.write(cell, "train", [attempt(minutes=1, reason="out of memory")] * 5)
    output = project.snakemake("--dry-run", "--printshellcmds", f"{CELLS}/brief/sft/manifest.json")
    assert "--micro-batch 1 --micro-tokens 256" in output
    shutil.rmtree(cell)
    output = project.snakemake("--dry-run", "--printshellcmds", f"{CELLS}/brief/sft/manifest.json")
    assert "--micro-batch 100 --micro-tokens 8192" in output
