"""Training speed compared with the plain Trainer and TRL: real (non-padding) tokens per second and peak memory.

A Llama of 17M parameters (hidden 256, 6 layers, 49k vocabulary, random weights) in float32; with --model, a real model in
bfloat16, the peers under their own flag for it. Alpaca rows, effective batch 32: ours is one packed row, the peers have 8 x 4.
TRL packed has the same 32 rows in rows of 1024 tokens, all of them in one batch. Every measurement is a process of its own.
Each repeat runs all methods, one after the other, so that a machine that slows down slows all. Numbers are medians over
repeats; a ratio is taken within each repeat.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import (
    SHARED,
    byte_tokenizer,
    in_process,
    instruction_of,
    llama,
    make_parser,
    medians,
    names,
    peak_gb,
    read_jsonl,
    setting,
    table,
    write,
)

OURS, FLOAT32 = ("ours full", "ours LoRA"), "ours full, float32"
PEERS = ("Trainer full", "Trainer LoRA", "TRL full", "TRL packed full")
TEMPLATE = "Below is an instruction.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
BATCH, MICRO, PACKED_LENGTH = 32, 8, 1024
OUR_MICRO = 32


def main() -> None:
    """Prepare model and rows once, measure everything in turn, write the table."""
    parser = make_parser(__doc__)
    data = SHARED / "alpaca_9k.jsonl"
    parser.add_argument("--data", type=Path, default=data, metavar="FILE", help="Alpaca rows, JSON Lines")
    parser.add_argument("--steps", type=int, default=1, help="optimizer steps; of several the first is not timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="a real model, with its tokenizer; default: a small one"
    )
    parser.add_argument("--only", nargs="*", help="methods to measure (default: all)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.only = arguments.only or [*OURS, *([FLOAT32] if arguments.model else []), *PEERS]
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.folder, arguments.threads)))
        return
    with TemporaryDirectory() as folder:
        prepare(Path(folder), arguments.data, BATCH * arguments.steps, arguments.threads, arguments.model)
        flags = ("--folder", folder, "--threads", arguments.threads)
        runs = [
            {name: in_process(name, __file__, "--measure", name, *flags) for name in arguments.only}
            for _ in range(arguments.repeats)
        ]
    write_table(runs, arguments)


def prepare(folder: Path, data: Path, count: int, threads: int, model: Path | None) -> None:
    """Write tokenizer, model and rows, the same for all methods."""
    import torch

    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import INSTANCES

    torch.set_num_threads(threads)
    rows = read_jsonl(data)
    texts = [instruction_of(row).strip() for row in rows]
    if model:
        (folder / "model").symlink_to(model.resolve(), target_is_directory=True)
    else:
        tokenizer = byte_tokenizer([*texts, *(row["output"] for row in rows)], 49152)
        tokenizer.save_pretrained(folder / "model")
        llama(max_position_embeddings=2048, eos_token_id=2).save_pretrained(folder / "model")
    chosen = [i for i, row in enumerate(rows) if row["output"].strip()][:count]
    instances = [
        {"id": f"{i:016x}", "instruction": texts[i], "response": rows[i]["output"], "source": "alpaca", "row": i}
        for i in chosen
    ]
    write_parquet(instances, INSTANCES, folder / "data.parquet")


def measure(name: str, folder: Path, threads: int) -> dict[str, float]:
    """Train one epoch of the rows with one method."""
    import torch

    torch.set_num_threads(threads)
    lora = name.endswith("LoRA")
    if name.startswith("ours"):
        speed = ours(folder, lora, "bfloat16" if is_real(folder) and name != FLOAT32 else "float32")
    else:
        speed = trainer(folder, lora) if name.startswith("Trainer") else trl(folder, packed="packed" in name)
    return {"tokens_per_second": speed, "peak_gb": peak_gb()}


def ours(folder: Path, lora: bool, precision: str, micro: int = OUR_MICRO) -> float:
    """closerlook's training."""
    with TemporaryDirectory() as out:
        lines = train_rows(folder, Path(out), micro, precision, kind="lora" if lora else "full")
    return without_warm_up([line["tokens"] for line in lines], [line["seconds"] for line in lines])


def train_rows(folder: Path, out: Path, micro: int, precision: str, **settings: Any) -> list[dict[str, Any]]:
    """Train an epoch of the rows by closerlook's code; returns the lines of its log."""
    from closerlook.config.cell import CellConfig, PromptTemplate
    from closerlook.config.settings import EngineSettings, TrainSettings
    from closerlook.train.run import train
    from closerlook.train.setup import Job

    settings |= {"epochs": 1.0, "batch_size": BATCH, "max_length": PACKED_LENGTH}
    config = CellConfig(template=PromptTemplate(text=TEMPLATE), train=TrainSettings(**settings))
    engine = EngineSettings(micro_batch=micro, precision=precision)
    train(Job(config, folder / "model", folder / "data.parquet", out, engine))
    return [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]


def examples(folder: Path) -> list[dict[str, Any]]:
    """The instances in the form that the peers expect: tokens, and which of them are trained."""
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    from closerlook.train.batches import tokenize

    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    instances, _ = tokenize(pq.read_table(folder / "data.parquet"), tokenizer, TEMPLATE, PACKED_LENGTH, quiet=True)
    return [
        {
            "input_ids": instance.tokens.tolist(),
            "labels": [-100] * instance.trained_from + instance.tokens[instance.trained_from :].tolist(),
            "completion_mask": [int(i >= instance.trained_from) for i in range(len(instance.tokens))],
        }
        for instance in instances
    ]


def is_real(folder: Path) -> bool:
    """Whether the model is a real one, which is trained in bfloat16."""
    return (folder / "model").is_symlink()


def load(folder: Path, lora: bool) -> Any:
    """The model, with the adapters that ours has."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    return get_peft_model(model, LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")) if lora else model


def trainer(folder: Path, lora: bool, micro: int = MICRO) -> float:
    """transformers' Trainer with a padding collator."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = Dataset.from_list(examples(folder)).remove_columns("completion_mask")
    arguments = TrainingArguments(
        folder / "out",
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=BATCH // micro,
        num_train_epochs=1,
        use_cpu=not torch.cuda.is_available(),
        bf16=is_real(folder) or torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_steps=1,
    )
    collator = DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(folder / "model"))
    return timed(Trainer(load(folder, lora), arguments, collator, rows), rows)


def trl(folder: Path, packed: bool, micro: int = MICRO) -> float:
    """TRL's SFTTrainer, all parameters: its defaults, or packed into rows of 1024 tokens."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = Dataset.from_list(examples(folder)).remove_columns("labels")
    arguments = SFTConfig(
        folder / "out",
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=1 if packed else BATCH // micro,
        packing=packed,
        max_length=PACKED_LENGTH,
        num_train_epochs=1,
        use_cpu=not torch.cuda.is_available(),
        bf16=is_real(folder) or torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_steps=1,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    return timed(SFTTrainer(load(folder, lora=False), arguments, train_dataset=rows, processing_class=tokenizer), rows)


def timed(trainer: Any, rows: Any) -> float:
    """Real tokens per second of the trainer's optimizer steps."""
    import torch
    from transformers import TrainerCallback

    moments: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            moments.append(time.perf_counter())

        on_step_end = on_step_begin

    trainer.add_callback(Clock())
    trainer.train()
    seconds = [end - begin for begin, end in zip(moments[::2], moments[1::2], strict=True)]
    # Rows are drawn at random: each step counts as an equal share of the tokens.
    tokens = sum(len(row) for row in rows["input_ids"])
    return without_warm_up([tokens / len(seconds)] * len(seconds), seconds)


def without_warm_up(tokens: list[float], seconds: list[float]) -> float:
    """Tokens per second of all steps but the first, or of the first if it is the only one."""
    first = 1 if len(seconds) > 1 else 0
    return sum(tokens[first:]) / sum(seconds[first:])


def write_table(runs: list[dict[str, dict[str, float]]], arguments: argparse.Namespace) -> None:
    """Write the table, as Markdown and JSON."""
    speed = medians(runs, lambda run, name: run[name]["tokens_per_second"])
    memory = medians(runs, lambda run, name: run[name]["peak_gb"])
    ratios: dict[str, float] = {}
    for ours_, kind in zip(OURS, ("full", "LoRA"), strict=True):
        peers = [name for name in speed if name in PEERS and name.endswith(kind)]
        if ours_ in speed and peers:
            fastest = [max(run[peer]["tokens_per_second"] for peer in peers) for run in runs]
            ratios[ours_] = statistics.median(
                run[ours_]["tokens_per_second"] / rate for run, rate in zip(runs, fastest, strict=True)
            )
    rows = [
        [name, f"{rate:.0f}", f"{memory[name]:.1f}", f"{ratios[name]:.2f}" if name in ratios else ""]
        for name, rate in speed.items()
    ]
    lines = table("lrrr", ["", "real tokens/s", "peak memory, GB", "times the fastest peer"], rows)
    steps = f"{arguments.steps} optimizer step(s) of {BATCH}"
    about = setting(arguments.repeats, "torch", "transformers", "trl", "peft", threads=arguments.threads)
    result = {"runs": runs, "median_tokens_per_second": speed, "median_peak_gb": memory, "ratios": ratios}
    about = f"{steps}; {about}"
    stem, title = names("training", arguments.model)
    write(arguments.out, stem, __doc__, about, lines, result | {"setting": about}, title)


if __name__ == "__main__":
    main()
