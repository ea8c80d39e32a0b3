"""Generation compared with transformers' `generate` and its continuous batching: seconds per generated token, greedy.

A Llama of 17M parameters (hidden 256, 6 layers, 49k vocabulary, random weights) in float32, 128 new tokens for each prompt; with
--model, a real model, in bfloat16 for all methods, 64 new tokens. Prompts have 15 to 400 random tokens. No response ends early:
that would favor ours, which fills the free rows of its batch, while generate waits. generate gets its prompts in file order,
padded on the left, in batches of 1 (4 of the prompts) or 8 (24 of them). Ours and continuous batching get 128 prompts (64 with
--model), at most 64 at a time. On AMD's processors about a third of the lead in float32 is due to oneDNN's matrix products
(closerlook.models.linear).
"""

import time
from pathlib import Path
from typing import Any

from common import NoText, compare, llama, prompts

BATCH = 64


def load(folder: Path | None, attention: str) -> Any:
    """The model in a folder, in bfloat16, or the small one. Neither ends a response."""
    import torch

    from closerlook.models.load import load_base

    if folder is None:
        model = llama()
        model.set_attn_implementation(attention)
    else:
        model = load_base(folder, dtype=torch.bfloat16, attention=attention)
    model.generation_config.eos_token_id = None
    return model


def new_tokens(folder: Path | None) -> int:
    """The length of a response."""
    return 64 if folder else 128


def ours(folder: Path | None) -> float:
    """closerlook's decoding loop, longest prompts first as the generate stage has them."""
    from closerlook.config.settings import GenerateSettings
    from closerlook.generate.decoding import Decoder
    from closerlook.generate.ragged_cache import RAGGED
    from closerlook.models.logits import Network

    return timed(Decoder(Network(load(folder, RAGGED)), NoText(), GenerateSettings(), BATCH), folder)


def continuous_batching(folder: Path | None) -> float:
    """transformers' continuous batching, with the same requests."""
    from closerlook.config.settings import GenerateSettings
    from closerlook.generate.transformers_engine import TransformersEngine

    return timed(TransformersEngine(load(folder, "sdpa"), NoText(), GenerateSettings(), BATCH), folder)


def timed(engine: Any, folder: Path | None) -> float:
    """Seconds per token of an engine, after a short response."""
    from closerlook.generate.response import new_response

    questions, new = sorted(prompts(64 if folder else 128), key=len, reverse=True), new_tokens(folder)

    def answer(prompts: list[list[int]]) -> None:
        for _ in engine.respond([new_response(str(n), prompt, 1 << 40, new) for n, prompt in enumerate(prompts)]):
            pass

    answer([questions[0][:4]])
    start = time.perf_counter()
    answer(questions)
    return (time.perf_counter() - start) / (len(questions) * new)


def generate(folder: Path | None, batch_size: int, count: int) -> float:
    """transformers' generate over the first `count` prompts in file order."""
    import torch

    model, questions = load(folder, "sdpa"), prompts(count)
    options = {"max_new_tokens": new_tokens(folder), "do_sample": False, "pad_token_id": 0}
    model.generate(torch.tensor([questions[0][:4]]), max_new_tokens=2, do_sample=False, pad_token_id=0)
    start = time.perf_counter()
    for first in range(0, count, batch_size):
        batch = questions[first : first + batch_size]
        longest = max(map(len, batch))
        ids = torch.tensor([[0] * (longest - len(question)) + question for question in batch])
        mask = torch.tensor([[0] * (longest - len(question)) + [1] * len(question) for question in batch])
        model.generate(ids, attention_mask=mask, **options)
    return (time.perf_counter() - start) / (count * options["max_new_tokens"])


if __name__ == "__main__":
    speed = {
        "ours": ours,
        "generate, batch 1": lambda folder: generate(folder, 1, 4),
        "generate, batch 8 in file order": lambda folder: generate(folder, 8, 24),
        "continuous batching": continuous_batching,
    }
    compare(__file__, __doc__, "ours", speed, {})
