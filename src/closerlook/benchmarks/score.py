"""`benchmarks/<task>.parquet`: a model's score on each item of a task."""

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import cast

import numpy as np

from closerlook.benchmarks.continuations import encode_continuations, log_probs, windows
from closerlook.benchmarks.items import AnyItem, ChoiceItem, CompletionItem, RollingItem, read_items
from closerlook.config.benchmarks import Task
from closerlook.config.catalog import BATCH_TOKENS, EngineName
from closerlook.config.cell import PLACEHOLDER
from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.core.fingerprint import fingerprint
from closerlook.core.resumable import Progress, Row, compute_in_parts
from closerlook.core.schemas import BENCHMARK
from closerlook.data.prompts import encode_prompts
from closerlook.generate.engines import choose_engine, engine_version, open_engine
from closerlook.generate.response import new_response
from closerlook.models.device import device, rounding_facts
from closerlook.models.load import context_length, load_base, load_tokenizer, load_tuned, text_config
from closerlook.models.logits import Network
from closerlook.models.packed import PACKED
from closerlook.models.pass_limits import pass_limits
from closerlook.models.precision import dtype_name, exact_dtype, fast_dtype
from closerlook.models.token_text import decode

PART = 256
"""Items per part, the work that an interruption can lose."""


class Scorer:
    """Scores the model in `base`, or the cell in `tuned` (full weights or an adapter on it), loaded when it is first needed."""

    def __init__(
        self,
        base: Path,
        tuned: Path | None,
        precision: str = "auto",
        gpus: int = 1,
        batch_tokens: int = BATCH_TOKENS,
        batch_size: int = 64,
        engine: EngineName = "auto",
    ) -> None:
        self.base, self.tuned, self.gpus, self.batch_size = base, tuned, gpus, batch_size
        self.tokenizer, self.target = load_tokenizer(base), device(gpus)
        self.config = text_config(tuned if tuned and (tuned / "config.json").is_file() else base)
        self.limits, self.engine = pass_limits(batch_tokens, self.target), choose_engine(engine, tuned)
        self.exact = exact_dtype(precision, self.target)
        self.fast = fast_dtype(precision, self.target, self.config.hidden_size)

    @cached_property
    def network(self) -> Network:
        """The model for packed passes."""
        how = self.target, self.exact, PACKED, self.gpus
        network = Network(load_tuned(self.base, self.tuned, *how) if self.tuned else load_base(self.base, *how))
        network.check()
        return network

    def score(self, task: Task, out: Path) -> None:
        """Write BENCHMARK: a row per item of a task, in their order. Resumes where it stopped; ranks share the items.

        Raises CloserlookError for items that cannot be read or do not fit into the context, and logits that are not finite.
        """
        shots, items = read_items(task)
        kinds = {"choices": self._choices, "completion": self._completions, "rolling": self._rolling}

        def score_parts(parts: list[list[int]], progress: Progress) -> Iterator[tuple[int, Row]]:
            rows = kinds[task.kind](task, shots, [[items[index] for index in part] for part in parts])
            for index, row in zip((index for part in parts for index in part), rows, strict=True):
                progress.advance(sum(row["tokens"]))
                yield index, {"id": items[index].id, "subject": items[index].subject} | row

        facts = {"task": task.model_dump(exclude={"file"}), "items": sha256(Path(task.file)), "part": PART}
        facts |= {
            "base": sha256(self.base),
            "tuned": self.tuned and sha256(self.tuned),
            "exact": dtype_name(self.exact),
        }
        facts |= {"fast": dtype_name(self.fast), "engine": self.engine, "version": engine_version(self.engine)}
        parts = [list(range(first, min(first + PART, len(items)))) for first in range(0, len(items), PART)]
        compute_in_parts(
            parts, score_parts, BENCHMARK, out, fingerprint(**facts, **rounding_facts(self.target)), "items"
        )

    def _choices(self, task: Task, shots: str, parts: list[list[AnyItem]]) -> Iterator[Row]:
        """The log-probability of each choice, and whether the right one has the largest: in sum, and per byte."""
        for part in cast(list[list[ChoiceItem]], parts):
            contexts = [shots + item.context for item in part for _ in item.choices]
            choices = [choice for item in part for choice in item.choices]
            continuations = encode_continuations(self.tokenizer, contexts, choices)
            most, longest = context_length(self.config), max(len(tokens) - 1 for tokens, _ in continuations)
            if longest > most:
                raise CloserlookError(
                    f"{task.file}: found an item of {longest} tokens with its examples, expected at most {most}, the model's "
                    f"context; lower shots of {task.name}, or leave the item out"
                )
            scored = zip(log_probs(self.network, continuations, self.limits).tolist(), continuations, strict=True)
            for item in part:
                sums, read = zip(*islice(scored, len(item.choices)), strict=True)
                sizes = [len(choice.encode()) for choice in item.choices]
                best = int(np.argmax(sums))
                yield {
                    "log_probs": sums,
                    "tokens": [len(tokens) - start for tokens, start in read],
                    "bytes": sizes,
                    "answer": item.answer,
                    "prediction": item.choices[best],
                    "correct": best == item.answer,
                    "correct_per_byte": int(np.argmax(np.divide(sums, sizes))) == item.answer,
                }

    def _rolling(self, _: Task, shots: str, parts: list[list[AnyItem]]) -> Iterator[Row]:
        """The log-probability of each text."""
        for part in cast(list[list[RollingItem]], parts):
            texts = [shots + item.text for item in part]
            tokens = encode_prompts(self.tokenizer, PLACEHOLDER, texts)
            pieces = [list(windows(self.tokenizer, ids, context_length(self.config))) for ids in tokens]
            values = iter(log_probs(self.network, [*chain(*pieces)], self.limits).tolist())
            for text, windows_of_text in zip(texts, pieces, strict=True):
                yield {
                    "log_probs": [sum(islice(values, len(windows_of_text)))],
                    "tokens": [sum(len(piece.tokens) - 1 for piece in windows_of_text)],
                    "bytes": [len(text.encode())],
                }

    def _completions(self, task: Task, shots: str, parts: list[list[AnyItem]]) -> Iterator[Row]:
        """The greedy response to each prompt, and whether it states an accepted answer."""
        settings = GenerateSettings(max_new_tokens=task.max_new_tokens, stop=task.stop)
        how = self.tokenizer, settings, self.fast, self.gpus, self.batch_size
        respond = open_engine(self.engine, self.base, self.tuned, *how)
        context = context_length(self.config)
        for part in cast(list[list[CompletionItem]], parts):
            prompts = encode_prompts(self.tokenizer, PLACEHOLDER, [shots + item.prompt for item in part])
            responses = [
                new_response(item.id, prompt, context, task.max_new_tokens)
                for item, prompt in zip(part, prompts, strict=True)
            ]
            for _ in respond(responses):
                pass  # they are completed in place
            for item, response in zip(part, responses, strict=True):
                text = decode(self.tokenizer, response.token_ids)
                yield {
                    "log_probs": [],
                    "tokens": [len(response.token_ids)],
                    "bytes": [],
                    "prediction": text,
                    "correct": any(states(text, answer) for answer in item.accepted),
                }


def states(response: str, answer: str) -> bool:
    """Whether an answer occurs in a response as whole words. Case, white space and the answer's full stop do not count."""
    words, wanted = (" ".join(text.casefold().split()) for text in (response, answer))
    return re.search(rf"(?<!\w){re.escape(wanted.removesuffix('.'))}(?!\w)", words) is not None
