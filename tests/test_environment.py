"""Everything that is imported is declared: what somebody's environment happens to hold is missing on a fresh machine."""

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# Installed without what it declares (Makefile), and an optional engine whose absence has a message of its own.
BESIDE = {"kronfluence", "vllm"}


def declared(*files: str) -> set[str]:
    lines = (line for name in files for line in (ROOT / "envs" / name).read_text().splitlines())
    return {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("#")}


def reached(names: set[str]) -> set[str]:
    """The distributions that installing those names brings, each with what it needs here."""
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        wanted = [Requirement(need) for need in needs]
        queue += [canonicalize_name(w.name) for w in wanted if not w.marker or w.marker.evaluate({"extra": ""})]
    return found


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Each top-level package that a file of the folder imports, with the file."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                yield name.split(".")[0], str(file.relative_to(ROOT))


def own_modules() -> set[str]:
    """Modules of the repository itself that tests and benchmarks import by bare name."""
    return {path.stem for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")} | {
        "tests",
        "closerlook",
    }


@pytest.mark.parametrize(
    ("folder", "files"),
    [
        ("src", ["requirements.txt"]),
        ("workflow", ["requirements.txt"]),
        ("tests", ["requirements.txt", "dev.txt", "small.txt"]),
        ("benchmarks", ["requirements.txt", "dev.txt", "small.txt"]),
    ],
)
def test_every_import_is_of_a_declared_package(folder: str, files: list[str]):
    installed = reached(declared(*files))
    owners = importlib.metadata.packages_distributions()
    undeclared = {
        name: file
        for name, file in imported(folder)
        if name not in sys.stdlib_module_names
        and name not in own_modules() | BESIDE
        and not any(canonicalize_name(owner) in installed for owner in owners.get(name, []))
    }
    assert not undeclared, f"imported, but neither in envs/{files} nor needed by what is: {undeclared}"


def test_every_declared_package_is_pinned_as_it_was_tested():
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "envs/constraints.txt").read_text(), re.MULTILINE)
    assert declared("requirements.txt", "dev.txt", "small.txt") - {"torch"} <= {canonicalize_name(pin) for pin in pins}


def test_the_check_notices_what_is_not_declared():
    assert "wordfreq" not in reached({"numpy", "pandas"})
    assert "jinja2" in reached({"snakemake"})
