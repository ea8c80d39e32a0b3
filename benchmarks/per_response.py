"""The cost of a response after its generation: shift, words, spans and borrowing, in seconds each, as the workflow runs them.

The first 64 recorded answers of gpt-3.5-turbo-0301 to just-eval-instruct, under Gemma 3 270M base and a copy of it whose weights
were perturbed by 1% of their spread, float32. They are traced in 9,229 rows of Alpaca, with 2,996 rows of Dolly as the unrelated
dataset; every tenth word begins a span of one to four words. Each stage is its script in a process of its own, with start and
loading; the indexes are built before (benchmarks/tracing.py). `fixed` is the same script on one response: the cost that does not
grow with the responses.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import (
    REPOSITORY,
    SHARED,
    expect_shared,
    instruction_of,
    make_parser,
    read_jsonl,
    report,
    setting,
    table,
    write,
)

ANSWERS = SHARED / "judge_gpt4_1106" / "verdicts_000_399.jsonl"
COUNT = 64
TEMPLATE = REPOSITORY / "config" / "prompts" / "alpaca.txt"


def script(name: str, *arguments: object) -> float:
    """Run a program of workflow/scripts; returns the seconds it took."""
    start = time.perf_counter()
    command = [sys.executable, str(REPOSITORY / "workflow" / "scripts" / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - start


def write_perturbed(base: Path, out: Path) -> None:
    """Write a perturbed copy of a model."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.01 * parameter.std()))
    model.save_pretrained(out)


def datasets(folder: Path) -> None:
    """Build the index and the embeddings of Alpaca and of Dolly."""
    for name, file in (("alpaca", "alpaca_9k.jsonl"), ("dolly", "dolly_3k.jsonl")):
        rows = [
            {"id": str(number), "instruction": instruction_of(row), "response": row["output"]}
            for number, row in enumerate(read_jsonl(SHARED / file))
        ]
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        script("build_index", "--dataset", path, "--out", folder / f"{name}.index")
        script("embed", "--dataset", path, "--out", folder / f"{name}.vectors")


def write_responses(base: Path, count: int, folder: Path) -> None:
    """Write responses.parquet, evalset.parquet and spans.parquet for the first `count` answers."""
    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import EVALSET, RESPONSES, SPANS
    from closerlook.data.prompts import encode_prompt, encode_response, read_template
    from closerlook.models.load import load_tokenizer
    from closerlook.models.token_text import decode
    from closerlook.text.words import words_of

    tokenizer, template, draw = load_tokenizer(base), read_template(TEMPLATE), random.Random(0)
    answers, questions, spans = [], [], []
    for row in read_jsonl(ANSWERS)[:count]:
        id_, ids = str(row["id"]), encode_response(tokenizer, row["output_cand"])[:-1]
        text = decode(tokenizer, ids)
        prompt = encode_prompt(tokenizer, template, row["input"])
        tokens = {"prompt_token_ids": prompt, "token_ids": ids}
        answers.append({"id": id_, "prompt": "", **tokens, "text": text, "finish_reason": "eos"})
        questions.append({"id": id_, "instruction": row["input"], "source": "just-eval"})
        words = words_of(text)
        for first in range(0, len(words), 10):
            start, end = words[first].start, words[min(len(words) - 1, first + draw.randrange(4))].end
            offsets = {"id": id_, "start": start, "end": end, "quote": text[start:end]}
            spans.append(dict.fromkeys(SPANS.names) | offsets | {"kind": "not factual", "marker": "drawn"})
    folder.mkdir(exist_ok=True)
    write_parquet(answers, RESPONSES, folder / "responses.parquet")
    write_parquet(questions, EVALSET, folder / "evalset.parquet")
    write_parquet(spans, SPANS, folder / "spans.parquet")


def stages(base: Path, tuned: Path, searched: Path, folder: Path) -> dict[str, float]:
    """Seconds of each stage on the responses in `folder`."""
    answers = ("--responses", folder / "responses.parquet")
    inputs = (*answers, "--shift", folder / "shift.parquet", "--evalset", folder / "evalset.parquet")
    alpaca, dolly = ([searched / f"{name}.{kind}" for kind in ("index", "vectors")] for name in ("alpaca", "dolly"))
    index, spans = ("--index", alpaca[0], "--embeddings", alpaca[1]), ("--spans", folder / "spans.parquet")
    search, unrelated = ("--search", "alpaca", *alpaca), ("--unrelated", "alpaca", *dolly)
    return {
        "shift": script("shift", "--base", base, "--tuned", tuned, *answers, "--out", folder / "shift.parquet"),
        "words": script("trace_words", *inputs, *index, "--out", folder / "words.parquet"),
        "spans": script("trace_spans", *inputs, *spans, *search, "--out", folder / "trace.parquet"),
        "borrowing": script("borrowing", *inputs, *spans, *search, *unrelated, "--out", folder / "borrowing.parquet"),
    }


def main() -> None:
    """Measure, and write the table."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="Gemma 3 270M base (make build/gemma-3-270m)"
    )
    arguments = parser.parse_args()
    expect_shared(ANSWERS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, tuned = arguments.model.resolve(), folder / "tuned"
        write_perturbed(base, tuned)
        datasets(folder)
        runs: dict[int, list[dict[str, float]]] = {1: [], COUNT: []}
        for count in runs:
            write_responses(base, count, folder / str(count))
        for _ in range(arguments.repeats):
            for count in runs:
                runs[count].append(stages(base, tuned, folder, folder / str(count)))
                report(f"{count} response(s)", runs[count][-1])
        task = sizes(folder / str(COUNT))
    whole, fixed = ({s: statistics.median(run[s] for run in runs[n]) for s in runs[n][0]} for n in (COUNT, 1))
    rows = [[stage, f"{whole[stage] / COUNT:.3f}", f"{fixed[stage]:.1f}"] for stage in whole]
    rows.append(["together", f"{sum(whole.values()) / COUNT:.3f}", f"{sum(fixed.values()):.1f}"])
    lines = table("lrr", ["stage", "seconds per response", "fixed, seconds"], rows)
    about = f"{setting(arguments.repeats, 'torch', 'transformers')} {task}"
    result = {"runs": runs, "responses": COUNT, "repeats": arguments.repeats}
    write(arguments.out, "per_response", __doc__, about, lines, result, "Per response")


def sizes(folder: Path) -> str:
    """The size of the task, in one sentence."""
    from closerlook.core.files import read_parquet

    tokens = sum(map(len, read_parquet(folder / "responses.parquet")["token_ids"].to_pylist()))
    words, spans = (read_parquet(folder / f"{name}.parquet").num_rows for name in ("words", "spans"))
    return f"{tokens:,} response tokens, {words:,} shifted or marginal words, {spans:,} spans."


if __name__ == "__main__":
    main()
