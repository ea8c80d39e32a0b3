"""Tasks of lm-evaluation-harness, by its Python interface: their items, graded as it grades them."""

import json
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import groupby, islice
from numbers import Real
from pathlib import Path
from typing import Any, cast

import lm_eval.tasks
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.tasks import TaskManager

from closerlook.benchmarks.harness_data import datasets_of
from closerlook.benchmarks.requests import Answer, Completion, Item, LogLikelihood, Request, Rolling, grade_choices
from closerlook.config.benchmarks import HarnessTask
from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import replacing, write_json
from closerlook.core.layout import BENCHMARK_INDEX
from closerlook.core.resumable import Row
from closerlook.core.versions import installed_version

EXAMPLES_SEED = 1234
"""Of the choice of examples, as in lm-evaluation-harness."""
NEW_TOKENS = 256
"""Longest response, in tokens, for a task that does not say, as in lm-evaluation-harness."""
_TASKS = Path(lm_eval.tasks.__file__).parent
_GENERATION = {"until", "do_sample", "max_gen_toks", "temperature", "top_p"}


def fetch(task: HarnessTask, out: Path) -> None:
    """Put the data of a task into the folder `out`, from which `read_harness` reads it without a network.

    Raises CloserlookError for data that cannot be fetched, and for a task that cannot be scored.
    """
    manager = _all_definitions()
    with replacing(out) as temporary:
        temporary.mkdir()
        with datasets_of(task.name, temporary, fetch=True):
            parts = _parts(task, manager)
            items = [item for part in parts.values() for item in _items(task, part, alone=len(parts) == 1)]
        sources = {Path(cast(dict, part.config.metadata)["config_source"]) for part in parts.values()}
        asked = [request for item in items for request in item.requests]
        index = {
            "task": task.model_dump(),
            "version": installed_version("lm-eval"),
            "definitions": sorted(
                {path.relative_to(_TASKS).parts[0] for path in sources if path.is_relative_to(_TASKS)}
            ),
            "items": len(items),
            "requests": len(asked),
            "characters": sum(map(_characters, asked)),
            "new_tokens": sum(r.settings.max_new_tokens for r in asked if isinstance(r, Completion)),
        }
        write_json(index, temporary / BENCHMARK_INDEX)


def read_harness(task: HarnessTask, data: Path | None) -> list[Item]:
    """The items of a task from the folder that `fetch` wrote; without one, from the hub's cache or the hub.

    Raises CloserlookError as `fetch` does.
    """
    if data is None:
        manager = _all_definitions()
    else:  # without all the other definitions, which take a while to read
        definitions = json.loads((data / BENCHMARK_INDEX).read_text(encoding="utf-8"))["definitions"]
        manager = TaskManager(include_defaults=False, include_path=[_TASKS / name for name in definitions])
    with datasets_of(task.name, data):
        parts = _parts(task, manager)
        return [item for part in parts.values() for item in _items(task, part, alone=len(parts) == 1)]


@cache
def _all_definitions() -> TaskManager:
    return TaskManager()


def _parts(task: HarnessTask, manager: TaskManager) -> dict[str, ConfigurableTask]:
    """The task itself, or all tasks of a group or a tag, with as many examples as wanted."""
    try:
        parts = manager.load(task.harness)["tasks"]
    except CloserlookError:
        raise
    except Exception as error:  # a task's own code can raise anything
        raise CloserlookError(
            f"benchmark {task.name}: {task.harness} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    for name, part in parts.items():
        if getattr(part, "UNSAFE_CODE", False):
            raise CloserlookError(f"benchmark {name}: runs code that a model writes, which closerlook does not do")
        if getattr(part, "MULTIMODAL", False):
            raise CloserlookError(f"benchmark {name}: needs images or sound, which the models here do not take")
        if task.shots is not None:
            if part.config.num_fewshot == 0 and task.shots:
                raise CloserlookError(f"benchmark {name}: shots: found {task.shots}, but the task takes no examples")
            part.set_config(key="num_fewshot", value=task.shots)
        part.set_fewshot_seed(EXAMPLES_SEED)
    return cast(dict[str, ConfigurableTask], parts)


def _items(task: HarnessTask, part: ConfigurableTask, alone: bool) -> Iterator[Item]:
    """The items of one task of lm-evaluation-harness; of several, its name is in their ids and is their subject."""
    part.build_all_requests(limit=task.limit)
    metric = None
    for number, group in groupby(part.instances, key=lambda instance: instance.doc_id):
        instances = sorted(group, key=lambda instance: instance.idx)
        doc, requests = instances[0].doc, [r for instance in instances for r in _requests(task, instance)]
        if len({type(request) for request in requests}) > 1:
            raise CloserlookError(
                f"benchmark {part.task_name}: asks for responses and for likelihoods, not for one of them"
            )
        metric = metric or _metric(task, part, instances)
        id = str(number) if alone else f"{part.task_name}/{number}"
        yield Item(id, _subject(task, part, doc, alone), requests, partial(_grade, part, instances, metric))


def _subject(task: HarnessTask, part: ConfigurableTask, doc: dict[str, Any], alone: bool) -> str | None:
    if task.subject is None:
        return None if alone else part.task_name
    if task.subject not in doc:
        columns = ", ".join(map(str, doc))
        raise CloserlookError(
            f"benchmark {task.name}: subject: found {task.subject}, expected one of the columns {columns}"
        )
    return str(doc[task.subject])


def _requests(task: HarnessTask, instance: Instance) -> list[Request]:
    """What an instance asks for, as often as it does."""
    arguments = instance.args
    request: Request
    if instance.request_type == "loglikelihood":
        request = LogLikelihood(*arguments)
    elif instance.request_type == "loglikelihood_rolling":
        request = Rolling(*arguments)
    else:
        request = Completion(arguments[0], _settings(task, arguments[1]))
    return [request] * (instance.repeats or 1)


def _settings(task: HarnessTask, generation: dict[str, Any]) -> GenerateSettings:
    wanted = normalize_gen_kwargs(generation, NEW_TOKENS)
    if unknown := wanted.keys() - _GENERATION:
        raise CloserlookError(
            f"benchmark {task.name}: decodes with {', '.join(sorted(unknown))}, which closerlook does not"
        )
    return GenerateSettings(
        max_new_tokens=wanted["max_gen_toks"],
        stop=[text for text in wanted["until"] if text],
        temperature=float(wanted["temperature"]),
        top_p=float(wanted.get("top_p", 1.0)),
    )


def _metric(task: HarnessTask, part: ConfigurableTask, instances: list[Instance]) -> tuple[str, str]:
    """The metric that says what an item is worth, and the filter of the answers: as asked, or the first for which more is better.

    Texts have none.
    """
    name, _, chosen = (task.metric or "").partition(",")
    filters = [ensemble.name for ensemble in part._filters]
    if chosen and chosen not in filters:
        raise CloserlookError(
            f"benchmark {part.task_name}: metric: found filter {chosen}, expected one of {', '.join(filters)}"
        )
    chosen = chosen or filters[0]
    if instances[0].request_type == "loglikelihood_rolling":
        return "", chosen
    tried = [Answer(tokens=1, log_prob=-1.0)] * sum(instance.repeats or 1 for instance in instances)
    found = _results(part, instances, chosen, tried)
    better = part.higher_is_better()
    usable = [metric for metric, value in found.items() if isinstance(value, Real) and better.get(metric, True)]
    if not usable or (name and name not in usable):
        raise CloserlookError(
            f"benchmark {part.task_name}: metric: found {name or 'none'}, expected a number for each item of which more is "
            f"better: {', '.join(usable) or 'the task has none'}"
        )
    return name or usable[0], chosen


def _results(
    part: ConfigurableTask, instances: list[Instance], chosen: str, answers: Sequence[Answer]
) -> dict[str, Any]:
    """What lm-evaluation-harness makes of the answers to an item's requests, by metric."""
    given = iter(answers)
    for instance in instances:
        instance.resps = [_response(instance, answer) for answer in islice(given, instance.repeats or 1)]
    next(ensemble for ensemble in part._filters if ensemble.name == chosen).apply(instances)
    return part.process_results(instances[0].doc, [instance.filtered_resps[chosen] for instance in instances])


def _response(instance: Instance, answer: Answer) -> Any:
    if instance.request_type == "loglikelihood":
        return answer.log_prob, answer.greedy
    return answer.log_prob if instance.request_type == "loglikelihood_rolling" else answer.response


def _grade(
    part: ConfigurableTask, instances: list[Instance], metric: tuple[str, str], answers: Sequence[Answer]
) -> Row:
    found = _results(part, instances, metric[1], answers)
    if instances[0].request_type == "loglikelihood_rolling":
        # A text is measured by the bytes of the original, which can differ from those of what is read.
        sizes = [value[1] for name, value in found.items() if name in ("byte_perplexity", "bits_per_byte")]
        return {"bytes": sizes[:1]} if sizes else {}
    score = float(found[metric[0]])
    row = _choice(part, instances, answers) if part.OUTPUT_TYPE == "multiple_choice" else {}
    if instances[0].request_type == "generate_until":
        row = {"prediction": answers[0].response}
    return row | {"score": score, "correct": bool(score) if score in (0.0, 1.0) else None}


def _choice(part: ConfigurableTask, instances: list[Instance], answers: Sequence[Answer]) -> Row:
    """The choice that is likeliest, where there is one right choice among all that are asked for."""
    doc = instances[0].doc
    choices = part.doc_to_choice(doc)
    right = part.doc_to_text(doc) if part.multiple_input else part.doc_to_target(doc)
    if isinstance(right, str) and right in choices:
        right = choices.index(right)
    if not isinstance(right, int) or not 0 <= right < len(choices) == len(answers):
        return {}
    return grade_choices(choices, right, answers)


def _characters(request: Request) -> int:
    match request:
        case LogLikelihood():
            return len(request.context) + len(request.text)
        case Rolling():
            return len(request.text)
        case Completion():
            return len(request.prompt)
