"""What the programs of workflow/scripts import: seconds of every job, so nothing that they do not use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import REPOSITORY

SCRIPTS = REPOSITORY / "workflow/scripts"
HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets", "deepspeed", "matplotlib", "scipy", "openai"} | {
    *("sentence_transformers", "spacy", "faiss", "bm25s", "sklearn", "pandas", "snakemake"),
}
MODELS = {"torch", "transformers", "peft", "accelerate", "scipy"}
GROUPS = {
    "models": (
        {
            "attribute_spans",
            "benchmark",
            "fetch_model",
            "generate",
            "pretrain_miniature",
            "retention",
            "shift",
            "span_likelihood",
            "train",
        },
        MODELS,
    ),
    # lm-evaluation-harness imports them.
    "benchmark data": ({"fetch_benchmark"}, MODELS | {"datasets", "pandas", "sklearn"}),
    "api": ({"generate_api"}, {"transformers"}),
    "keywords": ({"trace_spans", "trace_trials"}, {"torch", "spacy"}),  # spaCy imports torch where it is installed
    "figures": ({"figure"}, {"matplotlib"}),
}


def imported(script: Path) -> set[str]:
    """The modules of closerlook that a program imports, at its head or in a function."""
    tree = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
    found = {node.module or "" for node in tree if isinstance(node, ast.ImportFrom)}
    return {name for name in found if name.startswith("closerlook")}


def heavy(names: set[str]) -> set[str]:
    """What is loaded after the imports of some programs."""
    modules = sorted(set().union(*(imported(SCRIPTS / f"{name}.py") for name in names)))
    code = "; ".join(["import sys", *(f"import {module}" for module in modules), "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("group", GROUPS)
def test_programs_import_what_they_use(group: str) -> None:
    names, allowed = GROUPS[group]
    assert heavy(names) <= allowed


def test_all_others_import_nothing_heavy() -> None:
    special = set().union(*(names for names, _ in GROUPS.values()))
    others = {script.stem for script in SCRIPTS.glob("*.py")} - special
    assert {"table", "page", "judge", "supervise", "compare", "cases"} <= others
    assert not heavy(others)
