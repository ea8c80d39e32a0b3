"""Token-distribution shift compared with the ways others compute it: seconds per response token, float32.

Two Llamas of 17M parameters (hidden 256, 6 layers, 49k vocabulary, random weights, the second a perturbed copy of the first), 40
responses of 128 tokens to prompts of 15 to 400 tokens; with --model, a real model and a perturbed copy, 16 responses. No time
includes loading, files or sentences.
- AlignTDS's way (Re-Align/AlignTDS, logit_analysis.py): one pass of each model per response token over prompt and response
  so far, without a cache, logits of all positions, softmax and top 30 of the last. Timed on 16 evenly spread tokens of
  every tenth response. Its fp16 is not available here.
- Teacher-forced, one response at a time: one pass of each model over prompt and response, logits of all positions, those of
  the response cut out, float32 log-softmax, both KLs, the tuned model's token, its probability and rank, and top 5.
- The same, asking each model for the logits of the response positions only.
- Ours, for two sets of weights and for an adapter on one. On AMD's processors half of its lead is due to oneDNN's products.
Memory: one response of 500 tokens, vocabulary 262k (a model of 72M parameters, twice).
"""

import random
import tempfile
import time
from pathlib import Path

from common import compare, llama, prompts, with_adapter

TOKENS = 128


def models(folder: Path | None, vocabulary=49152):
    """A base model, and the tuned model: a perturbed copy."""
    import torch

    from closerlook.models.load import load_base

    base, tuned = (load_base(folder) if folder else llama(vocabulary) for _ in range(2))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01 * (parameter.std() if folder else 1))
    return base, tuned


def count_of(folder: Path | None) -> int:
    """The number of responses: fewer for a real model."""
    return 16 if folder else 40


def rows(count, tokens=TOKENS):
    """Prompts and responses of random tokens."""
    draw = random.Random(1)
    return [
        {
            "id": str(index),
            "prompt_token_ids": prompt,
            "token_ids": [draw.randrange(3, 40000) for _ in range(tokens)],
            "text": "",
        }
        for index, prompt in enumerate(prompts(count))
    ]


def aligntds(folder: Path | None) -> float:
    """One uncached pass per token and model."""
    import torch

    pair, count = models(folder), 0
    start = time.perf_counter()
    with torch.no_grad():
        for row in rows(count_of(folder))[::10]:
            for position in range(TOKENS // 32, TOKENS, TOKENS // 16):
                ids = torch.tensor([row["prompt_token_ids"] + row["token_ids"][:position]])
                for model in pair:
                    logits = model(ids).logits[:, -1, :]
                    torch.softmax(logits, dim=-1)
                    logits.topk(k=30)
                count += 1
    return (time.perf_counter() - start) / count


def one_by_one(folder: Path | None, response_only: bool, vocabulary=49152, count=None, tokens=TOKENS) -> float:
    """A plain script: teacher-forced, one response at a time."""
    import torch

    count = count or count_of(folder)
    pair, responses = models(folder, vocabulary), rows(count, tokens)
    start = time.perf_counter()
    with torch.no_grad():
        for row in responses:
            ids = torch.tensor([row["prompt_token_ids"] + row["token_ids"]])
            if response_only:
                options = {"logits_to_keep": tokens + 1}
                base, tuned = (model(ids, use_cache=False, **options).logits[0, :-1] for model in pair)
            else:
                base, tuned = (model(ids, use_cache=False).logits[0, -tokens - 1 : -1] for model in pair)
            plain_statistics(base, tuned)
    return (time.perf_counter() - start) / (count * tokens)


def plain_statistics(base, tuned):
    """The statistics by their definitions."""
    import torch

    log_base, log_tuned = torch.log_softmax(base.float(), -1), torch.log_softmax(tuned.float(), -1)
    base_probs, tuned_probs = log_base.exp(), log_tuned.exp()
    token = tuned_probs.argmax(-1, keepdim=True)
    kl_base_tuned = (base_probs * (log_base - log_tuned)).sum(-1)
    kl_tuned_base = (tuned_probs * (log_tuned - log_base)).sum(-1)
    base_prob = base_probs.gather(-1, token)
    rank = 1 + (base_probs > base_prob).sum(-1)
    return kl_base_tuned.tolist(), kl_tuned_base.tolist(), base_prob.tolist(), rank.tolist(), base_probs.topk(5)


def ours(model: Path | None, adapter: bool, vocabulary=49152, count=None, tokens=TOKENS) -> float:
    """closerlook's analysis, from token ids to the rows of the table."""
    import torch

    from closerlook.config.catalog import BATCH_TOKENS
    from closerlook.core.resumable import Progress
    from closerlook.models.pass_limits import pass_limits
    from closerlook.shift.analysis import ShiftAnalyzer
    from closerlook.shift.pair import ModelPair

    count = count or count_of(model)
    with tempfile.TemporaryDirectory() as folder:
        base_folder, tuned_folder = Path(folder) / "base", Path(folder) / "tuned"
        base, tuned = models(model, vocabulary)
        base.save_pretrained(base_folder)
        (with_adapter(base) if adapter else tuned).save_pretrained(tuned_folder)
        del base, tuned
        pair = ModelPair(base_folder, tuned_folder, torch.device("cpu"), torch.float32)
    analyzer = ShiftAnalyzer(pair, None, pass_limits(BATCH_TOKENS, torch.device("cpu")))
    responses = sorted(rows(count, tokens), key=lambda row: -len(row["prompt_token_ids"]))
    start = time.perf_counter()
    analyzer.rows(responses, Progress(count, 0, "shift"))
    return (time.perf_counter() - start) / (count * tokens)


if __name__ == "__main__":
    speed = {
        "ours": lambda folder: ours(folder, adapter=False),
        "ours, adapter": lambda folder: ours(folder, adapter=True),
        "AlignTDS's way": aligntds,
        "one at a time": lambda folder: one_by_one(folder, response_only=False),
        "one at a time, response logits only": lambda folder: one_by_one(folder, response_only=True),
    }
    wide = {"vocabulary": 262144, "count": 1, "tokens": 500}
    memory = {
        "ours, 262k vocabulary": lambda folder: ours(folder, adapter=False, **wide),
        "ours, 262k vocabulary, 20 tokens": lambda folder: ours(folder, adapter=False, **wide | {"tokens": 20}),
        "one at a time, 262k vocabulary": lambda folder: one_by_one(folder, response_only=True, **wide),
    }
    compare(__file__, __doc__, "ours", speed, memory)
