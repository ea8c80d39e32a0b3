"""`responses.parquet`: the responses of a cell to an evalset."""

from pathlib import Path

import torch
import transformers

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, sha256
from closerlook.core.fingerprint import fingerprint
from closerlook.core.resumable import Progress, Rows, compute_in_parts, split_by_length
from closerlook.core.schemas import RESPONSES
from closerlook.data.prompts import encode_prompt, fill_template
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED
from closerlook.models.load import device, load_base, load_tokenizer, load_tuned
from closerlook.models.logits import Network, body_dtype
from closerlook.models.token_text import decode

PART = 64
"""Prompts per part: the work that a kill can lose, and the largest batch."""


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
) -> None:
    """Answer every instruction of `evalset` with the model in `base`, or the cell in `tuned` (full weights or an adapter).

    Writes RESPONSES in the evalset's order. With `samples`, each instruction has that many sampled answers: answer k to question
    q has the id k/q, and all first answers come first. The random numbers of an answer depend on its id, so neither the batch nor
    the number of samples changes it.

    Resumes where it stopped; shares the work if RANK and WORLD_SIZE are set. An adapter is not merged into its base, so that the
    shift stage sees exactly the same distributions. Raises CloserlookError for prompts that are empty or longer than the model's
    context, duplicate ids, logits that are not finite, and samples at temperature 0, which would all be equal.
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
    prompts = [encode_prompt(tokenizer, template, instruction) for instruction in instructions]
    target = device(gpus)
    dtype = body_dtype(precision, target)
    network = Network(
        load_tuned(base, tuned, target, dtype, RAGGED, gpus) if tuned else load_base(base, target, dtype, RAGGED, gpus)
    )
    network.check()
    decoder = Decoder(network, tokenizer, settings, min(batch_size, PART))
    responses = [decoder.response(id, prompt) for id, prompt in zip(ids, prompts, strict=True)]

    def generate_part(part: list[int], progress: Progress) -> Rows:
        chosen = [responses[index] for index in part]
        try:
            decoder.respond(chosen, progress.advance)
        except torch.OutOfMemoryError:
            raise CloserlookError(
                f"{target} has too little memory for {decoder.batch_size} responses at a time; use --batch-size "
                f"{max(1, decoder.batch_size // 2)} (finished parts are kept)"
            ) from None
        return [
            {
                "id": response.id,
                "prompt": fill_template(template, instructions[index]),
                "prompt_token_ids": response.prompt,
                "token_ids": response.token_ids,
                "text": decode(tokenizer, response.token_ids),
                "finish_reason": response.finish_reason,
            }
            for index, response in zip(part, chosen, strict=True)
        ]

    inputs = {"prompts": prompts, "ids": ids, "template": template, "settings": settings.model_dump()}
    inputs |= {"base": sha256(base), "tuned": tuned and sha256(tuned), "dtype": dtype, "device": target.type}
    inputs |= {"torch": torch.__version__, "transformers": transformers.__version__, "part": PART, "batch": batch_size}
    compute_in_parts(
        split_by_length([len(p) for p in prompts], PART), generate_part, RESPONSES, out, fingerprint(**inputs)
    )
