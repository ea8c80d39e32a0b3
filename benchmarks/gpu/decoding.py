"""Decoding: milliseconds per step and tokens per second of closerlook's loop, compared with transformers' continuous batching."""

from typing import Any

import torch

from closerlook.config.settings import GenerateSettings
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED
from closerlook.generate.response import Response, new_response
from closerlook.generate.transformers_engine import TransformersEngine
from closerlook.models.logits import Network
from common import NoText, prompts, with_adapter
from gpu.bench import Bench
from gpu.budget import Measurement, Result

MODEL = "llama-2-7b"


def requests(bench: Bench, rows: int, new: int, vocabulary: int) -> list[Response]:
    """Prompts as long as instructions are, and answers of equal length, so that every step has all rows."""
    questions = sorted(prompts(rows), key=len, reverse=True)
    return [
        new_response(str(n), [token % vocabulary for token in question][: bench.times(20, 400)], 1 << 40, new)
        for n, question in enumerate(questions)
    ]


def decode(bench: Bench, engine: Any, rows: int, new: int, vocabulary: int) -> None:
    """Answer all requests."""
    for _ in engine.respond(requests(bench, rows, new, vocabulary)):
        pass


def steps(bench: Bench, engine: Any, rows: int, vocabulary: int) -> Result:
    """Time of a decoding step with `rows` rows: long answers less short ones, so that the prompts cancel out."""
    few, many = bench.times(2, 16), bench.times(6, 80)
    runs = bench.in_turn(
        {
            "few": lambda: decode(bench, engine, rows, few, vocabulary),
            "many": lambda: decode(bench, engine, rows, many, vocabulary),
        },
        bench.times(1, 2),
    )
    seconds = (runs["many"]["seconds"] - runs["few"]["seconds"]) / (many - few)
    return {"ms_per_step": 1e3 * seconds, "tokens_per_second": rows / seconds}


def calls(bench: Bench, engine: Any, rows: int, vocabulary: int) -> Result:
    """Kernels that a step launches, and waits of the program for the GPU."""
    if bench.device.type != "cuda":
        return {}
    counts = []
    for new in (4, 12):
        with torch.profiler.profile() as profile:  # of the CPU's calls and the GPU's kernels
            decode(bench, engine, rows, new, vocabulary)
        keys = {event.key: event.count for event in profile.key_averages()}
        launched = sum(count for key, count in keys.items() if "LaunchKernel" in key)
        waited = sum(count for key, count in keys.items() if "Synchronize" in key)
        counts.append((launched, waited))
    (launches, waits), (more_launches, more_waits) = counts
    return {"launches_per_step": (more_launches - launches) / 8, "waits_per_step": (more_waits - waits) / 8}


def closerlook_loop(bench: Bench) -> Result:
    """7B in bfloat16, random weights: full, then with an adapter. Bytes per second: the weights, which each step reads once."""
    architecture = bench.architecture(MODEL)
    found: Result = {}
    for name in ("full", "LoRA"):
        model = bench.build(architecture, torch.bfloat16, RAGGED)
        weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        network = Network(with_adapter(model) if name == "LoRA" else model)
        for rows in bench.times((4,), (32, 64)):
            decoder = Decoder(network, NoText(), GenerateSettings(), rows)
            one = steps(bench, decoder, rows, architecture.vocab_size)
            one["tb_per_second"] = weights / one["ms_per_step"] / 1e9
            found[f"{name}, {rows} rows"] = one | calls(bench, decoder, rows, architecture.vocab_size)
    return found | {"peak_gb": bench.peak_gb()}


def compare_with_transformers(bench: Bench) -> Result:
    """The same requests to closerlook's loop and to transformers' continuous batching, whole, in turn: 32 rows, 64 new tokens."""
    architecture, rows, new = bench.architecture(MODEL), bench.times(4, 32), bench.times(4, 64)
    model = bench.build(architecture, torch.bfloat16, RAGGED)
    ours = Decoder(Network(model), NoText(), GenerateSettings(), rows)
    theirs = TransformersEngine(model, NoText(), GenerateSettings(), rows)

    def run(engine: Any, attention: str) -> None:
        model.set_attn_implementation(attention)
        decode(bench, engine, rows, new, architecture.vocab_size)

    methods = {"ours": lambda: run(ours, RAGGED), "transformers": lambda: run(theirs, "sdpa")}
    return bench.in_turn(methods, bench.times(1, 2))


MEASUREMENTS = [
    Measurement("decoding, 7B", 60, closerlook_loop),
    Measurement("decoding, 7B, and transformers", 30, compare_with_transformers),
]
