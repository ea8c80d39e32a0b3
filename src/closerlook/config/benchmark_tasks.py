"""The benchmark tasks of a preset, all of which can be found."""

from collections.abc import Iterator
from pathlib import Path

from closerlook.config.benchmarks import (
    MINIATURE,
    MINIATURE_TASKS,
    HarnessTask,
    LocalTask,
    Task,
    is_file,
    named_task,
    read_tasks,
)
from closerlook.config.harness_names import harness_names
from closerlook.config.preset import Preset
from closerlook.config.problems import Problem, nearest, refuse
from closerlook.core import layout


def benchmark_tasks(preset: Preset, root: Path) -> dict[str, Task]:
    """The tasks by name, with the paths of their files from `root`.

    Raises CloserlookError for two of one name, a file that does not exist, and a name that lm-evaluation-harness does not have.
    """
    tasks: dict[str, Task] = {}
    for entry in preset.benchmarks:
        for task in _listed(entry, preset, root):
            if task.name in tasks:
                refuse([Problem(entry, "tasks", task.name, "a name that no other task of the preset has")])
            if entry != MINIATURE:  # its files are made by the workflow
                refuse(_missing(task, entry, root))
            tasks[task.name] = task
    return tasks


def _listed(entry: str, preset: Preset, root: Path) -> list[Task]:
    """The tasks of an entry of `benchmarks`."""
    if entry == MINIATURE:
        folder = Path("results") / preset.preset / layout.miniature()
        return [task.in_folder(folder) for task in MINIATURE_TASKS]
    if is_file(entry):
        return [task.in_folder(Path(entry).parent) for task in read_tasks(root / entry)]
    return [named_task(entry)]


def _missing(task: Task, entry: str, root: Path) -> Iterator[Problem]:
    """That a task's file does not exist, or that there is no task of its name."""
    key = f"tasks.{task.name}" if is_file(entry) else "benchmarks"
    where = entry if is_file(entry) else "the preset"
    if isinstance(task, LocalTask):
        if not (root / task.file).is_file():
            yield Problem(where, f"{key}.file", task.file, "a file that exists")
    elif is_file(task.harness):
        if not (root / task.harness).is_file():
            yield Problem(where, f"{key}.harness", task.harness, "a file that exists")
    elif task.harness not in harness_names():
        known = nearest(task.harness, harness_names())
        yield Problem(
            where, key, task.harness, f"a task of lm-evaluation-harness: {known}; miniature; or a file of tasks"
        )


def harness_tasks(tasks: dict[str, Task]) -> dict[str, HarnessTask]:
    """Those of lm-evaluation-harness, whose data are fetched."""
    return {name: task for name, task in tasks.items() if isinstance(task, HarnessTask)}
