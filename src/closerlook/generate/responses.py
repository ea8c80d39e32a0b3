"""`responses.parquet`: the responses of a cell to an evalset."""

from collections.abc import Iterator
from pathlib import Path

from closerlook.config.catalog import EngineName
from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, sha256
from closerlook.core.fingerprint import fingerprint
from closerlook.core.resumable import Progress, Row, compute_in_parts, split_by_length
from closerlook.core.schemas import RESPONSES
from closerlook.data.prompts import encode_prompts, fill_template
from closerlook.generate.engines import choose_engine, engine_version, open_engine
from closerlook.generate.response import new_response
from closerlook.models.device import device, rounding_facts
from closerlook.models.load import context_length, load_tokenizer, text_config
from closerlook.models.precision import dtype_name, fast_dtype
from closerlook.models.token_text import decode

PART = 64
"""Responses per part. A kill loses those of the parts that are not complete."""


def generate(
    base: Path,
    tuned: Path | None,
    evalset: Path,
    template: str,
    settings: GenerateSettings,
    out: Path,
    batch_size: int,
    precision: str,
    gpus: int = 1,
    samples: int | None = None,
    engine: EngineName = "auto",
) -> None:
    """Answer every instruction of `evalset` with the model in `base`, or the cell in `tuned` (full weights or an adapter).

    Writes RESPONSES in the evalset's order. With `samples`, each instruction has that many sampled answers: answer k to question
    q has the id k/q, and all first answers come first. The random numbers of an answer depend on its id, so neither the batch nor
    the number of samples changes it.

    Resumes where it stopped; shares the work if RANK and WORLD_SIZE are set. Prompts are answered longest first, and a part is
    stored when its last response ends: nothing waits for a part. The table's metadata names engine, engine_version and dtype. An
    adapter is not merged into its base, so that the shift stage sees the same distributions.

    Raises CloserlookError for prompts that are empty or longer than the model's context, duplicate ids, logits that are not
    finite, an engine that cannot run the model here, and samples at temperature 0, which would all be equal.
    """
    questions = read_parquet(evalset, columns=["id", "instruction"])
    ids, instructions = questions["id"].to_pylist(), questions["instruction"].to_pylist()
    if len(set(ids)) < len(ids):
        duplicate = next(id for id in ids if ids.count(id) > 1)
        raise CloserlookError(f"{evalset}: found id {duplicate!r} in more than one row, expected distinct ids")
    if samples is not None:
        if not settings.temperature:
            raise CloserlookError(
                "--temperature: found 0, expected above 0: greedy decoding gives the same answer each time"
            )
        ids, instructions = [f"{number}/{id}" for number in range(samples) for id in ids], instructions * samples
    tokenizer = load_tokenizer(base)
    prompts = encode_prompts(tokenizer, template, instructions)
    target = device(gpus)
    dtype = fast_dtype(precision, target, text_config(base).hidden_size)
    engine = choose_engine(engine, tuned)
    facts = {"engine": engine, "engine_version": engine_version(engine), "dtype": dtype_name(dtype)}
    context = context_length(text_config(_full_weights(base, tuned)))
    responses = [
        new_response(id, prompt, context, settings.max_new_tokens) for id, prompt in zip(ids, prompts, strict=True)
    ]

    def answer(parts: list[list[int]], progress: Progress) -> Iterator[tuple[int, Row]]:
        index_of = {ids[index]: index for part in parts for index in part}
        respond = open_engine(engine, base, tuned, tokenizer, settings, dtype, gpus, batch_size)
        for response in respond([responses[index] for index in index_of.values()]):
            index = index_of[response.id]
            progress.advance(len(response.token_ids))
            yield (
                index,
                {
                    "id": response.id,
                    "prompt": fill_template(template, instructions[index]),
                    "prompt_token_ids": response.prompt,
                    "token_ids": response.token_ids,
                    "text": decode(tokenizer, response.token_ids),
                    "finish_reason": response.finish_reason,
                },
            )

    inputs = {"prompts": prompts, "ids": ids, "template": template, "settings": settings.model_dump()}
    inputs |= {"base": sha256(base), "tuned": tuned and sha256(tuned), "part": PART} | facts
    inputs |= rounding_facts(target)
    parts = split_by_length([len(prompt) for prompt in prompts], PART)
    compute_in_parts(parts, answer, RESPONSES.with_metadata(facts), out, fingerprint(**inputs))


def _full_weights(base: Path, tuned: Path | None) -> Path:
    """The folder with the configuration of the model that answers."""
    return tuned if tuned and (tuned / "config.json").is_file() else base
