"""What every program in workflow/scripts/ shares: settings as flags, and errors a person can read."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from closerlook.core.errors import CloserlookError, failure_reason

S = TypeVar("S", bound=BaseModel)


FAILURE_NOTE = "CLOSERLOOK_FAILURE_NOTE"
"""Names the file in which a program notes why it failed, for the supervisor of its job; each rank adds its own ending."""


ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
"""Variables that configure how torch allocates a GPU's memory. It reads them once, when it is imported."""


def run(main: Callable[[], None]) -> None:
    """Run a script's main; an error the user can mend is printed in one piece and exits with 2, anything else is a bug."""
    os.environ.update(allocator_defaults())
    try:
        main()
    except Exception as error:
        if note := os.environ.get(FAILURE_NOTE):
            failure = {"reason": failure_reason(error), "message": str(error)}
            Path(f"{note}.{os.environ.get('RANK', 0)}").write_text(json.dumps(failure), encoding="utf-8")
        if not isinstance(error, CloserlookError):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def allocator_defaults() -> dict[str, str]:
    """Variables that torch's allocator needs and that are not set, before torch is imported."""
    if any(name in os.environ for name in ALLOCATOR):
        return {}
    # Each batch has another length: segments of fixed size would leave ever more gaps in a GPU's memory.
    return {ALLOCATOR[0]: "expandable_segments:True"}


def add_placement(parser: argparse.ArgumentParser) -> None:
    """Add the flags of how a model is computed: in which precision (--precision), over how many GPUs (--gpus)."""
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "bfloat16"],
        default="auto",
        help="of the model's body; its LM head always computes in float32 (default: auto, bfloat16 on a GPU, float32 on a CPU)",
    )
    parser.add_argument(
        "--gpus",
        type=int,
        default=1,
        metavar="N",
        help="GPUs that the model of each process is spread over, where one cannot hold it (default: 1)",
    )


def add_batch_tokens(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the flag for how much of its input a model reads in one pass (--batch-tokens)."""
    parser.add_argument(
        "--batch-tokens",
        type=int,
        default=default,
        metavar="N",
        help="tokens of a pass on a GPU; a CPU takes an eighth; fewer need less memory (default: %(default)s)",
    )


def add_decoding(parser: argparse.ArgumentParser, engines: Sequence[str]) -> None:
    """Add the flags of how responses are decoded: how many at a time (--batch-size), by which engine (--engine)."""
    parser.add_argument(
        "--batch-size",
        type=_at_least_one,
        default=64,
        metavar="N",
        help="responses at a time; fewer need less memory; vllm finds its own (default: %(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=engines,
        default="auto",
        help="what decodes; auto: vllm if it is installed and there is a GPU, else closerlook (default: %(default)s)",
    )


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected at least 1")
    return int(text)


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add the flag for a dataset that responses are searched in (--search); `named_folders` reads it."""
    parser.add_argument(
        "--search",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME INDEX", "EMBEDDINGS"),
        help="a dataset@size to search: name, folder of its index, optionally folder of its embeddings; repeatable",
    )


def add_index(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the one dataset that is searched (--index, --embeddings)."""
    parser.add_argument("--index", type=Path, required=True, metavar="DIR", help="index, written by build_index.py")
    parser.add_argument(
        "--embeddings",
        type=Path,
        metavar="DIR",
        help="embeddings of the dataset, or of one that begins with it (default: none, BM25 alone)",
    )


def named_folders(values: Sequence[Sequence[str]] | None, flag: str) -> dict[str, list[Path]]:
    """The one or two folders after each name of a repeatable flag. Raises CloserlookError if there are none, or more."""
    for words in values or ():
        if len(words) not in (2, 3):
            raise CloserlookError(f"{flag}: found {' '.join(words)!r}, expected a name and one or two folders")
    return {name: list(map(Path, folders)) for name, *folders in values or ()}


def parse_named_paths(pairs: Sequence[str], flag: str) -> dict[str, Path]:
    """The values of a flag, NAME=PATH, by name. Raises CloserlookError if a part is missing or a name is repeated."""
    paths = {name: Path(path) for name, _, path in (pair.partition("=") for pair in pairs) if name and path}
    if len(paths) < len(pairs):
        raise CloserlookError(f"{flag}: found {' '.join(pairs)}, expected NAME=PATH with different names")
    return paths


def add_settings(parser: argparse.ArgumentParser, settings: type[BaseModel]) -> None:
    """Add one flag per field of `settings`: its name, its default, and its description as the help text.

    A list takes any number of words: `--aspects clarity depth`.
    """
    group = parser.add_argument_group(settings.__name__)
    for name, field in settings.model_fields.items():
        required = field.is_required()
        text = (field.description or "").replace("%", "%%")
        if not required:
            text += f" (default: {json.dumps(field.get_default(call_default_factory=True)).replace('%', '%%')})"
        words = {"nargs": "*"} if get_origin(field.annotation) is list else {}
        group.add_argument(
            _flag(name), dest=name, required=required, default=argparse.SUPPRESS, metavar="VALUE", help=text, **words
        )


def read_settings(arguments: argparse.Namespace, settings: type[S], defaults: S | None = None) -> S:
    """The settings that flags give, over `defaults`. Raises CloserlookError with flag, what was found, what was expected."""
    given = {name: _value(raw) for name in settings.model_fields if (raw := getattr(arguments, name, None)) is not None}
    try:
        return settings.model_validate((defaults.model_dump() if defaults else {}) | given)
    except ValidationError as error:
        problems = [f"{_flag(str(e['loc'][0]))}: {e['msg']}, found {e['input']!r}" for e in error.errors()]
        raise CloserlookError("; ".join(problems)) from None


def as_flags(settings: BaseModel) -> str:
    """`settings` as a shell-quoted command line, every field spelled out."""
    words: list[str] = []
    for name, value in settings.model_dump(mode="json").items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            words += [_flag(name), *(word if isinstance(word, str) else json.dumps(word) for word in values)]
    return shlex.join(words)


def prefer_this_python() -> None:
    """Put this Python's folder first on PATH: jobs then run it also where its environment was not activated.

    An environment that Snakemake makes for a job (conda) is activated later and still comes before it.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _value(raw: str | list[str]) -> Any:
    """A number, true or false; a text otherwise, or a list of texts."""
    if isinstance(raw, list):
        return raw
    try:
        return json.loads(raw)
    except json.JSONDecodeError:
        return raw
