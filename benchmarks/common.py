"""What the benchmarks share: arguments, measurements in processes of their own, tables, result files, a model and prompts.

Methods that are compared take turns: each repeat runs all of them, so that a machine that slows down slows all. A ratio is taken
within a repeat. Peak memory is that of the process, with Python and the libraries in it.
"""

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"
"""Texts of others, which are no part of the repository."""

Method = Callable[[Path | None], float]
"""Prepares and then does a fixed task, with the real model in a folder or a small one; returns the seconds that a token took,
without the preparation."""


def make_parser(doc: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every benchmark."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    out = Path("benchmarks/results")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help=f"folder to write to (default: {out})")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="repeats of each measurement (default: 3)")
    return parser


def in_process(label: str, *command: object) -> dict[str, float]:
    """Run a Python program in a process of its own; return the JSON object of its last line, which is also printed."""
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{label} failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    report(label, result)
    return result


def report(label: str, numbers: Mapping[str, float]) -> None:
    """Print a measurement on stderr."""
    print(f"{label:40}", *(f"{name} {number:.4g}" for name, number in numbers.items()), file=sys.stderr, flush=True)


def peak_gb() -> float:
    """Peak memory of this process, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def medians(runs: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any], str], float]) -> dict[str, float]:
    """By method, the median over the runs of `value(run, method)`."""
    return {name: statistics.median(value(run, name) for run in runs) for name in runs[0]}


def table(alignment: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table. alignment: l (left) or r (right) for each column."""
    rule = ["--:" if letter == "r" else "---" for letter in alignment]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def setting(repeats: int, *packages: str, threads: int | None = None) -> str:
    """How and where a benchmark ran, in one sentence."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    limit = f", {threads} thread(s)" if threads else ""
    return f"{repeats} repeat{'s' * (repeats > 1)}{limit}; {os.cpu_count()} cores, {platform.machine()}; {versions}."


def write(
    folder: Path, stem: str, doc: str, about: str, lines: Sequence[str], result: Any, title: str | None = None
) -> None:
    """Write the tables to <stem>.md and the numbers to <stem>.json, and print the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join([f"# {title or stem.capitalize()}", "", doc, about, "", *lines, ""])
    (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    (folder / f"{stem}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print("\n".join(lines))


def compare(file: str, doc: str, ours: str, speed: dict[str, Method], memory: dict[str, Method]) -> None:
    """Time the methods of `speed` in turn, run those of `memory` once with the small model, write the tables."""
    parser = make_parser(doc)
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="a real model; default: a small one of random weights"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of each method (default: 1)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure((speed | memory)[arguments.measure], arguments.model, arguments.threads)))
        return
    model = ("--model", arguments.model) if arguments.model else ()

    def run(name: str) -> dict[str, float]:
        return in_process(name, file, "--measure", name, "--threads", arguments.threads, *model)

    runs = [{name: run(name) for name in speed} for _ in range(arguments.repeats)]
    once = {} if arguments.model else {name: run(name) for name in memory}
    seconds = medians(runs, lambda run, name: run[name]["seconds_per_token"])
    peaks = medians(runs, lambda run, name: run[name]["peak_gb"])
    ratio = medians(runs, lambda run, name: run[name]["seconds_per_token"] / run[ours]["seconds_per_token"])
    rows = [
        [name, f"{s:.5f}", f"{1 / s:.1f}", f"{peaks[name]:.2f}", "" if name == ours else f"{ratio[name]:.2f}"]
        for name, s in seconds.items()
    ]
    header = ["", "seconds per token", "tokens/s", "peak memory, GB", "ours is faster by"]
    lines = table("lrrrr", header, rows)
    if once:
        peak_rows = [[name, f"{result['peak_gb']:.2f}"] for name, result in once.items()]
        lines += ["", *table("lr", ["memory, one run", "peak memory, GB"], peak_rows)]
    about = setting(arguments.repeats, "torch", "transformers", threads=arguments.threads)
    result = {"runs": runs, "once": once, "ratio": ratio, "repeats": arguments.repeats, "threads": arguments.threads}
    stem, title = names(Path(file).stem, arguments.model)
    write(arguments.out, stem, doc, about, lines, result, title)


def names(benchmark: str, model: Path | None) -> tuple[str, str]:
    """The name of the result files, and the title of the page."""
    title = benchmark.capitalize()
    return (f"{benchmark}_{model.name}", f"{title}, {model.name}") if model else (benchmark, title)


def measure(method: Method, model: Path | None, threads: int) -> dict[str, float]:
    """Run one method in this process."""
    import torch

    torch.set_num_threads(threads)
    return {"seconds_per_token": method(model), "peak_gb": peak_gb()}


def llama(vocabulary: int = 49152, **changes: Any) -> Any:
    """A Llama with random weights: hidden 256, 6 layers; 17M parameters with a vocabulary of 49k."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    options = {
        "vocab_size": vocabulary,
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
        "bos_token_id": 1,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    return LlamaForCausalLM(LlamaConfig(**options | changes)).eval()


def byte_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Train a tokenizer with at most `vocabulary` tokens on the texts. It encodes any text, byte by byte where it must."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocabulary, 1, False, ["<pad>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


class NoText:
    """Takes the place of a tokenizer whose model never ends a response and whose text is not read."""

    eos_token_id = None


def with_adapter(model: Any) -> Any:
    """The model with a random LoRA of rank 8 on all linear layers, not merged."""
    import torch
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.02)
    return adapted


def prompts(count: int) -> list[list[int]]:
    """Random tokens, of the lengths that instructions in a template have: log-normal, median 60, from 15 to 400."""
    draw = random.Random(0)
    lengths = [min(400, max(15, round(draw.lognormvariate(4.1, 0.6)))) for _ in range(count)]
    return [[draw.randrange(3, 40000) for _ in range(length)] for length in lengths]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def instruction_of(row: dict[str, Any]) -> str:
    """The instruction of a row in Alpaca's form, followed by its input."""
    return "\n\n".join(filter(None, (row["instruction"], row["input"])))


def expect_shared(file: Path) -> None:
    """End the program with a message if a file of the texts of others is missing."""
    if not file.exists():
        print(f"skipped: {file} is missing; it is other people's text and not part of the repository")
        sys.exit()
