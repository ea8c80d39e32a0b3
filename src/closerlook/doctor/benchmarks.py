"""Checks that the data of benchmark tasks are here, or can be fetched where this runs."""

import json
from collections.abc import Iterator
from pathlib import Path

from closerlook.config.benchmark_tasks import harness_tasks
from closerlook.config.load import Configuration
from closerlook.core import layout
from closerlook.doctor.checks import Check, Failed, check
from closerlook.doctor.hub import is_offline


def check_benchmarks(configuration: Configuration, results: Path) -> Iterator[Check]:
    """Check the data of each task of lm-evaluation-harness; those of other tasks are files that exist."""
    for name in harness_tasks(configuration.tasks):
        yield check(f"benchmark {name}", _check_data, name, results)


def _check_data(name: str, results: Path) -> str:
    folder = results / layout.benchmark_data(name)
    try:
        index = json.loads((folder / layout.BENCHMARK_INDEX).read_text(encoding="utf-8"))
        return f"{index['items']} items in {folder}"
    except (OSError, ValueError, KeyError):
        pass
    if is_offline():
        raise Failed(f"its data are not in {folder}, and HF_HUB_OFFLINE is set; fetch them where the network is")
    return f"its data are not here yet; the workflow fetches them to {folder} on the machine that runs snakemake"
