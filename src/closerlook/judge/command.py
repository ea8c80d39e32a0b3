"""Command-line flags that name a judge, shared by all programs in workflow/scripts that ask one."""

import argparse
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from closerlook.config.judges import AskSettings, OpenAIJudge, PaceSettings, ServerSettings
from closerlook.config.judges import Judge as CatalogJudge
from closerlook.config.preset import Preset
from closerlook.config.settings import Settings
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import add_settings, as_flags, read_settings
from closerlook.judge.aspects import Judge

if TYPE_CHECKING:
    from closerlook.llm.client import CompletionModel

KINDS = ("openai", "local", "oracle")
CACHE = Path("results", layout.ANSWER_CACHE)


def add_judge(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the flags that name a judge, its server and its limits."""
    parser.add_argument(
        "--judge", choices=KINDS, required=required, help="an endpoint, a model run here, or the miniature's truth"
    )
    parser.add_argument("--model", metavar="NAME", help="openai: name of the model; local: folder of the model")
    parser.add_argument("--world", type=Path, metavar="FILE", help="oracle: the miniature's world.json")
    parser.add_argument(
        "--cache",
        type=Path,
        default=CACHE,
        metavar="FILE",
        help="database of all answers, so that none is paid twice (default: %(default)s)",
    )
    parser.add_argument(
        "--budget", type=float, metavar="AMOUNT", help="openai: most that may be spent for --purpose in all"
    )
    parser.add_argument("--purpose", default="", metavar="NAME", help="what the budget is for, such as a preset's name")
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="local: answers decoded together; vllm finds its own"
    )
    add_settings(parser, ServerSettings)
    add_settings(parser, PaceSettings)


def settings_flags(entry: Settings, part: type[Settings]) -> str:
    """Return the fields of a catalog entry that belong to `part`, as flags for the shell."""
    return as_flags(part.model_validate(entry.model_dump(include=set(part.model_fields))))


def llm_flags(judge: CatalogJudge | None) -> str:
    """Return the flags that decide a judge's answers, except its prompt and max_tokens; "" for None."""
    if judge is None:
        return ""
    if isinstance(judge, OpenAIJudge):
        return f"--judge openai --model {shlex.quote(judge.openai)} {settings_flags(judge, ServerSettings)}"
    return "--judge oracle"


def pace_flags(judge: CatalogJudge | None, preset: Preset) -> str:
    """Return the flags for rate limits, prices and budget of an API model, which change no answer; "" for other judges."""
    if not isinstance(judge, OpenAIJudge):
        return ""
    flags = f"{settings_flags(judge, PaceSettings)} --purpose {preset.preset}"
    return flags if preset.judge_budget is None else f"{flags} --budget {preset.judge_budget}"


@contextmanager
def open_model(arguments: argparse.Namespace, ask: AskSettings) -> "Iterator[CompletionModel]":
    """Open the model that the flags name: an endpoint or a local model. Raises CloserlookError for missing flags."""
    if arguments.judge == "oracle" or not arguments.model:
        raise CloserlookError(f"--model: found nothing, expected the model for --judge {arguments.judge}")
    from closerlook.llm.cache import Cache

    with Cache(arguments.cache) as cache:
        if arguments.judge == "local":
            from closerlook.llm.local import LocalModel

            yield LocalModel(Path(arguments.model), ask.max_tokens, arguments.batch_size, cache)
        else:
            from closerlook.llm.budget import Budget
            from closerlook.llm.endpoint import Endpoint

            parts = (ask, read_settings(arguments, ServerSettings), read_settings(arguments, PaceSettings))
            settings = {name: value for part in parts for name, value in part.model_dump().items()}
            judge = OpenAIJudge.model_validate(settings | {"openai": arguments.model})
            yield Endpoint(judge, cache, Budget(arguments.budget, arguments.purpose))


@contextmanager
def open_judge(arguments: argparse.Namespace, ask: AskSettings) -> Iterator[Judge]:
    """Open the judge that the flags name. Raises CloserlookError for missing flags."""
    if arguments.judge == "oracle":
        if arguments.world is None:
            raise CloserlookError("--world: found nothing, expected the world.json of the oracle")
        from closerlook.judge.oracle import make_oracle_judge
        from closerlook.miniature.world import World

        yield make_oracle_judge(World.load(arguments.world))
    else:
        from closerlook.judge.prompt_judge import make_prompt_judge, read_prompt

        prompt = read_prompt(Path(ask.prompt_file))
        with open_model(arguments, ask) as model:
            name = arguments.model if arguments.judge == "openai" else Path(arguments.model).name
            yield make_prompt_judge(model, name, prompt, ask)
