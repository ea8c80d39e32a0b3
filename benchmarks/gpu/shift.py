"""Shift: tokens per second, compared with two bare forward passes, the least that it can cost."""

import torch

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.core.resumable import Progress
from closerlook.models.logits import Network
from closerlook.models.packed import PACKED, pack
from closerlook.models.pass_limits import pass_limits
from closerlook.shift.analysis import ShiftAnalyzer
from closerlook.shift.pair import ModelPair
from common import prompts
from gpu.bench import Bench, random_tokens
from gpu.budget import Measurement, Result


class RandomPair(ModelPair):
    """Two models of random weights, without the files that a pair is read from."""

    def __init__(self, bench: Bench, model: str) -> None:
        architecture, dtype = bench.architecture(model), torch.bfloat16
        if bench.device.type == "cpu":
            dtype = torch.float32
        self.base, self.tuned = (Network(bench.build(architecture, dtype, PACKED, seed)) for seed in (0, 1))
        self._adapter = False
        self.vocabulary, self.context = architecture.vocab_size, 1 << 40


def compare_with_bare_passes(bench: Bench, model: str) -> Result:
    """The rows of shift.parquet, compared with one pass of each model with the logits of the responses in the models' dtype."""
    pair, length = RandomPair(bench, model), bench.times(10, 200)
    questions = [[token % pair.vocabulary for token in prompt] for prompt in prompts(bench.times(4, 128))]
    answers = random_tokens([length] * len(questions), pair.vocabulary)
    rows = [
        {"id": str(n), "prompt_token_ids": question[:200], "token_ids": answer, "text": ""}
        for n, (question, answer) in enumerate(zip(questions, answers, strict=True))
    ]
    limits = pass_limits(BATCH_TOKENS, bench.device)
    analyzer = ShiftAnalyzer(pair, None, limits)
    per_pass = max(1, limits.tokens // (length + 100))

    @torch.inference_mode()
    def bare() -> None:
        for first in range(0, len(rows), per_pass):
            batch = rows[first : first + per_pass]
            sequences = [row["prompt_token_ids"] + row["token_ids"][:-1] for row in batch]
            ends = torch.tensor([len(sequence) for sequence in sequences]).cumsum(0)
            positions = torch.cat([torch.arange(int(end) - length, int(end)) for end in ends]).to(bench.device)
            inputs = pack(sequences, bench.device)
            for network in (pair.base, pair.tuned):
                network.causal(**inputs, logits_to_keep=positions)

    def ours() -> None:
        analyzer.rows(rows, Progress(len(rows), 0, "shift"))

    bench.forget_peak()
    found = bench.in_turn({"bare passes": bare, "shift": ours}, bench.times(1, 3))
    tokens = len(rows) * length
    for one in found.values():
        one["response_tokens_per_second"] = tokens / one["seconds"]
    return found | {"peak_gb": bench.peak_gb()}


MEASUREMENTS = [
    Measurement("shift, 7B", 25, lambda bench: compare_with_bare_passes(bench, "llama-2-7b")),
    Measurement("shift, vocabulary of 262k", 15, lambda bench: compare_with_bare_passes(bench, "gemma-3-270m")),
]
