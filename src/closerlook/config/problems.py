"""Problems of a configuration, each with file, key, found, expected and the nearest valid name."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rapidfuzz import fuzz, process

from closerlook.config.derived import DERIVED_SOURCES
from closerlook.config.judges import JUDGE_KEYS
from closerlook.config.markers import MARKER_KEYS
from closerlook.config.settings import Settings
from closerlook.core.errors import CloserlookError

_KINDS: dict[int | str, tuple[str, ...]] = {"judges": JUDGE_KEYS, "markers": MARKER_KEYS}
_SOURCE_TAGS = {"hub", "file", "url", "folder", "gguf_package", "miniature", "endpoint", "paraphrase", *DERIVED_SOURCES}
_TASK_TAGS = ("harness", "file")


@dataclass(frozen=True)
class Problem:
    """One problem of a configuration. key: a path such as grid[0].methods[1]."""

    file: str
    key: str
    found: Any
    expected: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: found {_short(self.found)}, expected {self.expected}"


def refuse(problems: Iterable[Problem]) -> None:
    """Raise CloserlookError with all problems, one per line; do nothing if there are none."""
    lines = [str(problem) for problem in problems]
    if lines:
        noun = "problem" if len(lines) == 1 else "problems"
        raise CloserlookError("\n  ".join([f"{len(lines)} {noun} in the configuration:", *lines]))


def refuse_invalid(file: str | Path, error: ValidationError) -> NoReturn:
    """Raise CloserlookError with every problem that pydantic found in a file."""
    refuse(Problem(str(file), path(where), found, expected) for where, found, expected in from_pydantic(error))
    raise error  # pydantic raises no error without a problem


def nearest(found: str, valid: Iterable[str]) -> str:
    """The valid names as text, with the one nearest to `found` as a suggestion."""
    names = sorted(valid)
    name = str(found).partition("@")[0]
    # A typo in one or two letters is likelier than a name that contains `found`.
    match = process.extractOne(name, names, scorer=fuzz.ratio, score_cutoff=70) or process.extractOne(
        name, names, score_cutoff=50
    )
    listed = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
    return f"one of {listed}" + (f"; did you mean {match[0]}?" if match else "")


def from_pydantic(error: ValidationError) -> list[tuple[tuple[int | str, ...], Any, str]]:
    """pydantic's errors as (location, found, expected), with locations as in the YAML file: without tags of unions."""
    return [
        (_without_tags(entry["loc"]), None if entry["type"] == "missing" else entry["input"], _expected(entry))
        for entry in error.errors()
    ]


def path(location: Iterable[int | str]) -> str:
    """A location as text: grid[0].methods[1]."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _without_tags(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    if len(location) > 2 and location[2] in (_TASK_TAGS if location[0] == "tasks" else _KINDS.get(location[0], ())):
        location = (*location[:2], *location[3:])
    before = (None, *location)
    return tuple(
        part for part, last in zip(location, before, strict=False) if not (last == "source" and part in _SOURCE_TAGS)
    )


def _expected(entry: ErrorDetails) -> str:
    kind, found = entry["type"], entry["input"]
    if kind == "extra_forbidden":
        return f"no such key{_near_key(str(entry['loc'][-1]))}"
    if kind == "missing":
        return "a value: the key has no default"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        section = entry["loc"][0]
        noun = {"judges": "a judge", "markers": "a marker"}.get(str(section), "a source")
        return f"{noun}: a mapping with one of the keys " + ", ".join(_KINDS.get(section, sorted(_SOURCE_TAGS)))
    if kind in ("float_type", "int_type") and isinstance(found, str):
        try:
            return f"a number (YAML reads {found} as text; write {_in_yaml(float(found))})"
        except ValueError:
            pass
    if kind == "string_type" and isinstance(found, int | float | bool):
        return f"text (put it in quotes: '{found}')"
    return entry["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _in_yaml(number: float) -> str:
    """A number as YAML reads it: without a decimal point, 5e-05 would be text."""
    return repr(number) if "." in repr(number) else repr(number).replace("e", ".0e")


def _near_key(found: str) -> str:
    keys = {name for settings in _subclasses(Settings) for name in settings.model_fields}
    match = process.extractOne(found, sorted(keys - {found}), score_cutoff=75)
    return f"; did you mean {match[0]}?" if match else ""


def _subclasses(settings: type[Settings]) -> list[type[Settings]]:
    return [settings, *(deeper for child in settings.__subclasses__() for deeper in _subclasses(child))]


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
