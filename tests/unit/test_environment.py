"""Everything that is imported is declared: what somebody's environment happens to hold is missing on a fresh machine."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.support import REPOSITORY

ROOT = REPOSITORY
# Installed without what it declares (Makefile), and an optional engine whose absence has a message of its own.
BESIDE = {"kronfluence", "vllm"}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared(*extras: str) -> list[Requirement]:
    """The core's requirements and those of some extras, of which one may include others: closerlook[train]."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    requirements = [Requirement(line) for line in lines]
    included = {
        extra for requirement in requirements if requirement.name == "closerlook" for extra in requirement.extras
    }
    others = [requirement for requirement in requirements if requirement.name != "closerlook"]
    return [*others, *(declared(*sorted(included)) if included else [])]


def reached(requirements: Iterable[Requirement]) -> set[str]:
    """The distributions that installing those requirements brings, each with what it needs here."""
    names: set[str] = set()
    queue = [canonicalize_name(requirement.name) for requirement in requirements]
    while queue:
        name = queue.pop()
        if name in names:
            continue
        names.add(name)
        try:
            needs = [Requirement(need) for need in importlib.metadata.requires(name) or []]
        except importlib.metadata.PackageNotFoundError:
            continue
        queue += [canonicalize_name(n.name) for n in needs if not n.marker or n.marker.evaluate({"extra": ""})]
    return names


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
        "gpu",  # a folder of benchmarks
    }


@pytest.mark.parametrize(
    ("folder", "extra"), [("src", "all"), ("workflow", "all"), ("tests", "dev"), ("benchmarks", "dev")]
)
def test_every_import_is_of_a_declared_package(folder: str, extra: str):
    installed = reached(declared(extra))
    owners = importlib.metadata.packages_distributions()
    undeclared = {
        name: file
        for name, file in imported(folder)
        if name not in sys.stdlib_module_names
        and name not in own_modules() | BESIDE
        and not any(canonicalize_name(owner) in installed for owner in owners.get(name, []))
    }
    assert not undeclared, f"imported, but neither in pyproject.toml ({extra}) nor needed by what is: {undeclared}"


# What `closerlook check` and `status` import: `pip install closerlook`, without extras, is enough for them.
CORE = ["config", "text", "stats", "cluster"]
# Imported only to merge several presets (config.flags), or to look up a benchmark task (config.harness_names), with a message
# that names the extra.
OPTIONAL = {"snakemake", "lm_eval"}


@pytest.mark.parametrize("package", CORE)
def test_the_core_needs_no_extra(package: str):
    installed = reached(declared())
    owners = importlib.metadata.packages_distributions()
    extra = {
        name: file
        for name, file in imported(f"src/closerlook/{package}")
        if name not in sys.stdlib_module_names | {"closerlook"} | OPTIONAL
        and not any(canonicalize_name(owner) in installed for owner in owners.get(name, []))
    }
    assert not extra


def test_every_declared_package_is_locked_at_a_version_that_its_range_allows():
    text = (ROOT / "envs/constraints.txt").read_text()
    pins = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}
    # torch is pinned by its range alone: a machine's build has a suffix of its own (+cpu, +cu130).
    outside = {
        str(requirement): pins.get(canonicalize_name(requirement.name))
        for requirement in declared("dev")
        if requirement.name != "torch"
        and not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    }
    assert not outside


def test_the_check_notices_what_is_not_declared():
    assert "wordfreq" not in reached([Requirement("numpy"), Requirement("pandas")])
    assert "jinja2" in reached([Requirement("snakemake")])
