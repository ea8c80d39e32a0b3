"""What the benchmarks of generation and shift share: every measurement in a process of its own, all in turn, medians of ratios.

Each repeat runs all methods one after the other, so that a machine that slows down slows all; a ratio is taken within a
repeat. Peak memory is the process's, with Python and PyTorch in it.
"""

import argparse
import json
import platform
import random
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

Method = Callable[[], float]
"""Prepares, then works on a fixed task; returns the seconds that one token took, without the preparation."""


def main(file: str, doc: str, ours: str, speed: dict[str, Method], memory: dict[str, Method]) -> None:
    """Time the methods of `speed` in turn, run those of `memory` once, write <file's name>.json and .md."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), metavar="DIR", help="folder to write to"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure((speed | memory)[arguments.measure], arguments.threads)))
        return
    runs = [{name: in_process(file, name, arguments.threads) for name in speed} for _ in range(arguments.repeats)]
    once = {name: in_process(file, name, arguments.threads) for name in memory}
    write(Path(file).stem, doc, ours, runs, once, arguments)


def measure(method: Method, threads: int) -> dict[str, float]:
    """Run one method, here."""
    import torch

    torch.set_num_threads(threads)
    return {"seconds_per_token": method(), "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def in_process(file: str, name: str, threads: int) -> dict[str, float]:
    """Run one method in a process of its own."""
    command = [sys.executable, file, "--measure", name, "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    rate = 1 / result["seconds_per_token"]
    print(f"{name:40} {rate:8.1f} tokens/s {result['peak_gb']:6.2f} GB", file=sys.stderr, flush=True)
    return result


def write(
    stem: str, doc: str, ours: str, runs: list[dict], once: dict[str, dict[str, float]], arguments: argparse.Namespace
) -> None:
    """The tables, as Markdown and JSON."""
    seconds, peak = (
        {name: statistics.median(run[name][key] for run in runs) for name in runs[0]}
        for key in ("seconds_per_token", "peak_gb")
    )
    ratio = {
        name: statistics.median(run[name]["seconds_per_token"] / run[ours]["seconds_per_token"] for run in runs)
        for name in runs[0]
    }
    lines = [
        "| | seconds per token | tokens/s | peak memory, GB | ours is faster by |",
        "| --- | --: | --: | --: | --: |",
    ]
    for name in runs[0]:
        row = f"| {name} | {seconds[name]:.5f} | {1 / seconds[name]:.1f} | {peak[name]:.2f} | "
        lines.append(row + ("" if name == ours else f"{ratio[name]:.2f}") + " |")
    if once:
        lines += ["", "| memory, one run | peak memory, GB |", "| --- | --: |"]
        lines += [f"| {name} | {result['peak_gb']:.2f} |" for name, result in once.items()]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    about = f"{arguments.repeats} repeats, {arguments.threads} thread(s); {platform.machine()} CPU; {versions}."
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{stem}.md").write_text(f"# {stem.capitalize()}\n\n{doc}\n{about}\n\n" + "\n".join(lines) + "\n")
    result = {"runs": runs, "once": once, "ratio": ratio, "repeats": arguments.repeats, "threads": arguments.threads}
    (arguments.out / f"{stem}.json").write_text(json.dumps(result, indent=2) + "\n")
    print("\n".join(lines))


def llama(vocabulary: int = 49152, seed: int = 0, context: int = 4096):
    """A Llama with random weights: hidden 256, 6 layers; 17M parameters with a vocabulary of 49k."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        tie_word_embeddings=True,
        max_position_embeddings=context,
        bos_token_id=1,
        eos_token_id=None,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    """Random tokens, of the lengths that instructions in a template have: log-normal, median 60, from 15 to 400."""
    draw = random.Random(seed)
    lengths = [min(400, max(15, round(draw.lognormvariate(4.1, 0.6)))) for _ in range(count)]
    return [[draw.randrange(3, 40000) for _ in range(length)] for length in lengths]
