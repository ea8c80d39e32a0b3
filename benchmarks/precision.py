"""The losses of a training in bfloat16 compared with those in float32: the same model, instances, settings and seed.

Alpaca rows in steps of 32, and 32 held-out rows. In bfloat16, passes have bfloat16 weights and the optimizer float32 ones. On a
CPU without bfloat16 products, the losses are the same, but it takes longer.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import SHARED, expect_shared, names, report, setting, table, write
from training import BATCH, prepare, train_rows

RATES = {"full": 5e-5, "lora": 5e-4}
DTYPES = ("float32", "bfloat16")


def losses(folder: Path, kind: str, precision: str) -> dict[str, Any]:
    """Train; the loss of each step and of the held-out rows afterwards."""
    out = folder / f"{kind}_{precision}"
    lines = train_rows(folder, out, BATCH, precision, kind=kind, learning_rate=RATES[kind], held_out=BATCH)
    steps = [line["loss"] for line in lines]
    held_out = json.loads((out / "manifest.json").read_text())["held_out"]
    report(f"{kind}, {precision}", {"first": steps[0], "last": steps[-1], "held_out": held_out["loss"]})
    return {"steps": steps, "held_out": held_out["loss"], "held_out_before": held_out["base_loss"]}


def main() -> None:
    """Train in both precisions, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), metavar="DIR", help="folder to write to"
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="a model with its tokenizer")
    parser.add_argument("--steps", type=int, default=12, metavar="N", help="optimizer steps (default: 12)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads (default: 1)")
    arguments = parser.parse_args()
    data = SHARED / "alpaca_9k.jsonl"
    expect_shared(data)
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, data, BATCH * (arguments.steps + 1), arguments.threads, arguments.model)
        result = {kind: {dtype: losses(folder, kind, dtype) for dtype in DTYPES} for kind in RATES}
    lines: list[str] = []
    for kind, found in result.items():
        exact, short = (found[dtype] for dtype in DTYPES)
        pairs = [(str(step), a, b) for step, (a, b) in enumerate(zip(exact["steps"], short["steps"], strict=True), 1)]
        pairs += [(key.replace("_", " "), exact[key], short[key]) for key in ("held_out_before", "held_out")]
        rows = [[label, f"{a:.4f}", f"{b:.4f}", f"{(b - a) / a:+.2%}"] for label, a, b in pairs]
        worst = max(abs(b - a) / a for _, a, b in pairs)
        lines += [f"{kind}, learning rate {RATES[kind]:g}: at most {worst:.2%} apart", ""]
        lines += [*table("lrrr", ["step", *DTYPES, "difference"], rows), ""]
    stem, title = names("precision", arguments.model)
    about = setting(1, "torch", "transformers", threads=arguments.threads)
    write(arguments.out, stem, __doc__ or "", about, lines, result, title)


if __name__ == "__main__":
    main()
