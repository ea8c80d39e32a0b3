"""Write the README's summary of the benchmarks from benchmarks/results/, between its two comments."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common import REPOSITORY, medians, table

README, RESULTS = REPOSITORY / "README.md", REPOSITORY / "benchmarks" / "results"
BEGIN, END = "<!-- written by benchmarks/summary.py -->", "<!-- end of the summary -->"
MODELS = {
    "": "**a Llama of 17M parameters**, vocabulary 49k, float32",
    "_gemma-3-270m": "**Gemma 3 270M**, vocabulary 262k, bfloat16 (shift: float32)",
}
"""What the names of result files end in, by model."""


def summary(results: Path = RESULTS) -> str:
    """The lines between the comments."""
    rows: list[list[str]] = []
    for suffix, model in MODELS.items():
        rows += [[model, "", "", ""], *model_rows(results, suffix)]
    lines = table("llll", ["tokens/s", "closerlook", "alternatives", "times as fast"], rows)
    return "\n".join([*lines, "", *sentences(results)])


def model_rows(results: Path, suffix: str) -> Iterable[list[str]]:
    """The rows of a model: training, generation, shift."""
    training = read(results, f"training{suffix}")
    speed, memory = training["median_tokens_per_second"], training["median_peak_gb"]
    for kind, label in (("full", "training, all parameters"), ("LoRA", "training, LoRA")):
        found = {name: f"{speed[name]:,.0f} ({memory[name]:.1f} GB)" for name in speed if name.endswith(kind)}
        ours = found.pop(f"ours {kind}")
        peers = "; ".join(f"{name.removesuffix(f' {kind}')} {text}" for name, text in found.items())
        yield [label, ours, peers, f"{training['ratios'][f'ours {kind}']:.1f}"]
    for stage in ("generation", "shift"):
        result = read(results, f"{stage}{suffix}")
        seconds = medians(result["runs"], lambda run, name: run[name]["seconds_per_token"])
        peers = [name for name in seconds if not name.startswith("ours")]
        texts = "; ".join(f"{name} {rate(1 / seconds[name])}" for name in peers)
        yield [stage, rate(1 / seconds["ours"]), texts, "; ".join(rate(result["ratio"][name]) for name in peers)]


def rate(number: float) -> str:
    """A rate or a ratio, with a digit after the point where it is small."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def sentences(results: Path) -> list[str]:
    """The other results, a sentence each."""
    judging, shift = read(results, "judging"), read(results, "shift")["once"]
    gigabytes = [shift[f"{name}, 262k vocabulary"]["peak_gb"] for name in ("ours", "one at a time")]
    calls = "; ".join(
        f"{judging['calls_per_second'][count]:.0f} calls/s with {count} at a time ({judging['share'][count]:.0%} of the limit)"
        for count in ("16", "32")
    )
    return [
        f"- The shift of a response of 500 tokens with a vocabulary of 262k takes {gigabytes[0]:.2f} GB; a plain script, "
        f"{gigabytes[1]:.2f} GB.",
        precision_sentence(read(results, "precision_gemma-3-270m")),
        f"- Judging, against a server that takes {1000 * judging['latency']:.0f} ms for a call: {calls}.",
        search_sentence(read(results, "tracing")["results"][-1]),
        start_sentence(read(results, "start")["all jobs"]),
    ]


def search_sentence(dataset: dict[str, Any]) -> str:
    """How fast a phrase is found in the larger dataset."""
    ours, plain = (dataset["searches"][name] for name in ("closerlook", "Python's in"))
    return (
        f"- All instances with a phrase are found among {dataset['rows']:,} in {ours['milliseconds']:.2f} ms; Python's `in` "
        f"takes {plain['milliseconds']:.0f} ms."
    )


def start_sentence(ways: dict[str, dict[str, float]]) -> str:
    """What the starts of jobs take of a run on one machine."""
    fork, ordinary = ways["forks of the server"], ways["ordinary Pythons"]
    share, ordinary_share = (way["starts"] / way["whole"] for way in (fork, ordinary))
    return (
        f"- The start of a job of `make demo` takes {fork['median_start']:.2f} s (median) in a fork of a process that "
        f"has imported what it needs, and {ordinary['median_start']:.2f} s in a Python of its own; all starts are {share:.0%} "
        f"and {ordinary_share:.0%} of the seconds of all jobs."
    )


def precision_sentence(kinds: dict[str, Any]) -> str:
    """How far losses in bfloat16 are from those in float32."""
    worst, steps = {}, 0
    for kind, found in kinds.items():
        exact, short = ([*found[dtype]["steps"], found[dtype]["held_out"]] for dtype in ("float32", "bfloat16"))
        worst[kind] = max(abs(b - a) / a for a, b in zip(exact, short, strict=True))
        steps = len(exact) - 1
    return (
        f"- In bfloat16, the losses of {steps} steps of Gemma 3 270M and those of held-out rows are at most {worst['full']:.2%} "
        f"(all parameters) and {worst['lora']:.2%} (LoRA) from those in float32."
    )


def read(results: Path, stem: str) -> Any:
    """The numbers of a benchmark."""
    return json.loads((results / f"{stem}.json").read_text(encoding="utf-8"))


def main() -> None:
    """Replace the summary."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n\n{summary()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
