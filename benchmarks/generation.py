"""Generation compared with transformers' `generate`: seconds per generated token, greedy, float32.

A Llama of 17M parameters (hidden 256, 6 layers, 49k vocabulary, random weights), prompts of 15 to 400 tokens, 128 new tokens
each. No response ends early: that would favor ours, which fills the free rows of its batch, while generate waits. generate gets
its prompts in file order, padded on the left, in batches of 1 (4 of the prompts) or 8 (24 of them). Ours gets 128 prompts, at
most 64 at a time. On AMD's processors about a third of its lead is due to oneDNN's matrix products (closerlook.models.linear).
"""

import time

from common import NoText, compare, llama, prompts

NEW_TOKENS = 128
BATCH = 64


def ours() -> float:
    """closerlook's decoding loop, longest prompts first as the generate stage has them."""
    from closerlook.config.settings import GenerateSettings
    from closerlook.generate.decoding import Decoder
    from closerlook.generate.ragged_cache import RAGGED
    from closerlook.generate.response import new_response
    from closerlook.models.logits import Network

    model = llama()
    model.set_attn_implementation(RAGGED)
    decoder = Decoder(Network(model), NoText(), GenerateSettings(max_new_tokens=NEW_TOKENS), BATCH)
    questions = sorted(prompts(128), key=len, reverse=True)

    def answer(prompts: list[list[int]]) -> None:
        for _ in decoder.respond([new_response(str(n), p, 1 << 40, NEW_TOKENS) for n, p in enumerate(prompts)]):
            pass

    answer([questions[0][:4]])
    start = time.perf_counter()
    answer(questions)
    return (time.perf_counter() - start) / (len(questions) * NEW_TOKENS)


def transformers(batch_size: int, count: int) -> float:
    """transformers' generate over the first `count` prompts in file order."""
    import torch

    model, questions = llama(), prompts(count)
    options = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "pad_token_id": 0}
    model.generate(torch.tensor([questions[0][:4]]), max_new_tokens=2, do_sample=False, pad_token_id=0)
    start = time.perf_counter()
    for first in range(0, count, batch_size):
        batch = questions[first : first + batch_size]
        longest = max(map(len, batch))
        ids = torch.tensor([[0] * (longest - len(question)) + question for question in batch])
        mask = torch.tensor([[0] * (longest - len(question)) + [1] * len(question) for question in batch])
        model.generate(ids, attention_mask=mask, **options)
    return (time.perf_counter() - start) / (count * NEW_TOKENS)


if __name__ == "__main__":
    speed = {
        "ours": ours,
        "generate, batch 1": lambda: transformers(1, 4),
        "generate, batch 8 in file order": lambda: transformers(8, 24),
    }
    compare(__file__, __doc__, "ours", speed, {})
