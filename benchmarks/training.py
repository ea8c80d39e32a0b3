"""Training speed beside the plain Trainer and TRL: real (non-padding) tokens per second and peak memory.

A Llama of 17M parameters (hidden 256, 6 layers, 49k vocabulary, random weights) on Alpaca rows, effective batch 32 = 8 x 4,
float32; TRL packed has the same 32 rows in rows of 1024 tokens, all of them in one batch. Every measurement is a process of its
own; each repeat runs all of them, one after the other, so that a machine that slows down slows all. A method's figure is the
median over repeats, and so is the ratio, taken within each repeat.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

OURS, PEERS = ("ours full", "ours LoRA"), ("Trainer full", "Trainer LoRA", "TRL full", "TRL packed full")
TEMPLATE = "Below is an instruction.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
BATCH, MICRO, PACKED_LENGTH = 32, 8, 1024


def main() -> None:
    """Prepare model and rows once, measure everything in turn, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/alpaca_9k.jsonl"), help="Alpaca rows, JSON lines"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/training.md"), help="table; .json beside it"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="optimiser steps; of several the first is not timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[*OURS, *PEERS], help="what to measure")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.folder, arguments.threads)))
        return
    with TemporaryDirectory() as folder:
        prepare(Path(folder), arguments.data, BATCH * arguments.steps, arguments.threads)
        runs = [
            {name: in_process(name, folder, arguments) for name in arguments.only} for _ in range(arguments.repeats)
        ]
    write(runs, arguments)


def in_process(name: str, folder: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Measure one method in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, "--folder", folder, "--threads", str(arguments.threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{name:16} {result['tokens_per_second']:7.0f} tokens/s {result['peak_gb']:5.1f} GB",
        file=sys.stderr,
        flush=True,
    )
    return result


def prepare(folder: Path, data: Path, count: int, threads: int) -> None:
    """The same tokenizer, model and rows for all."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import INSTANCES

    torch.set_num_threads(threads)
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    texts = [f"{row['instruction']}\n\n{row['input']}".strip() for row in rows]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([*texts, *(row["output"] for row in rows)], 49152, 1, False, ["<pad>", "<s>", "</s>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.save_pretrained(folder / "model")
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=49152,
            hidden_size=256,
            intermediate_size=688,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=8,
            tie_word_embeddings=True,
            max_position_embeddings=2048,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    ).save_pretrained(folder / "model")
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
    if name in OURS:
        speed = ours(folder, lora)
    else:
        speed = trainer(folder, lora) if name.startswith("Trainer") else trl(folder, packed="packed" in name)
    return {"tokens_per_second": speed, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def ours(folder: Path, lora: bool) -> float:
    """closerlook's own training."""
    from closerlook.config.cell import CellConfig, PromptTemplate
    from closerlook.config.settings import EngineSettings, TrainSettings
    from closerlook.train.run import train
    from closerlook.train.setup import Job

    settings = TrainSettings(kind="lora" if lora else "full", epochs=1.0, batch_size=BATCH, max_length=PACKED_LENGTH)
    with TemporaryDirectory() as out:
        engine = EngineSettings(micro_batch=MICRO)
        config = CellConfig(template=PromptTemplate(text=TEMPLATE), train=settings)
        train(Job(config, folder / "model", folder / "data.parquet", Path(out), engine))
        lines = [json.loads(line) for line in (Path(out) / "train_log.jsonl").read_text().splitlines()]
    return without_warm_up([line["tokens"] for line in lines], [line["seconds"] for line in lines])


def examples(folder: Path) -> list[dict[str, Any]]:
    """The instances as the peers take them: tokens, and which of them are trained."""
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    from closerlook.train.batches import tokenize

    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    instances, _ = tokenize(pq.read_table(folder / "data.parquet"), tokenizer, TEMPLATE, PACKED_LENGTH, quiet=True)
    return [
        {
            "input_ids": one.tokens.tolist(),
            "labels": [-100] * one.trained_from + one.tokens[one.trained_from :].tolist(),
            "completion_mask": [int(i >= one.trained_from) for i in range(len(one.tokens))],
        }
        for one in instances
    ]


def load(folder: Path, lora: bool) -> Any:
    """The model, with adapters as ours has them."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    return get_peft_model(model, LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")) if lora else model


def trainer(folder: Path, lora: bool) -> float:
    """transformers' Trainer with a padding collator."""
    from datasets import Dataset
    from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = Dataset.from_list(examples(folder)).remove_columns("completion_mask")
    arguments = TrainingArguments(
        folder / "out",
        per_device_train_batch_size=MICRO,
        gradient_accumulation_steps=BATCH // MICRO,
        num_train_epochs=1,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
    )
    collator = DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(folder / "model"))
    return timed(Trainer(load(folder, lora), arguments, collator, rows), rows)


def trl(folder: Path, packed: bool) -> float:
    """TRL's SFTTrainer, all parameters: its defaults, or packed into rows of 1024 tokens."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = Dataset.from_list(examples(folder)).remove_columns("labels")
    arguments = SFTConfig(
        folder / "out",
        per_device_train_batch_size=MICRO,
        gradient_accumulation_steps=1 if packed else BATCH // MICRO,
        packing=packed,
        max_length=PACKED_LENGTH,
        num_train_epochs=1,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    return timed(SFTTrainer(load(folder, lora=False), arguments, train_dataset=rows, processing_class=tokenizer), rows)


def timed(trainer: Any, rows: Any) -> float:
    """Real tokens per second of the trainer's optimiser steps."""
    from transformers import TrainerCallback

    moments: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            moments.append(time.perf_counter())

        on_step_end = on_step_begin

    trainer.add_callback(Clock())
    trainer.train()
    seconds = [end - begin for begin, end in zip(moments[::2], moments[1::2], strict=True)]
    # Rows are drawn at random: each step is taken to have its share of the tokens.
    tokens = sum(len(row) for row in rows["input_ids"])
    return without_warm_up([tokens / len(seconds)] * len(seconds), seconds)


def without_warm_up(tokens: list[float], seconds: list[float]) -> float:
    """Tokens per second of all steps but the first; of that one, where it is the only one."""
    first = 1 if len(seconds) > 1 else 0
    return sum(tokens[first:]) / sum(seconds[first:])


def write(runs: list[dict[str, dict[str, float]]], arguments: argparse.Namespace) -> None:
    """The table, as Markdown and JSON."""
    from importlib.metadata import version

    names = list(runs[0])
    speed = {name: statistics.median(run[name]["tokens_per_second"] for run in runs) for name in names}
    memory = {name: statistics.median(run[name]["peak_gb"] for run in runs) for name in names}
    ratios = {}
    for ours_, kind in (("ours full", "full"), ("ours LoRA", "LoRA")):
        peers = [name for name in names if name in PEERS and name.endswith(kind)]
        if ours_ in names and peers:
            ratios[ours_] = statistics.median(
                run[ours_]["tokens_per_second"] / max(run[peer]["tokens_per_second"] for peer in peers) for run in runs
            )
    table = ["| | real tokens/s | peak memory, GB | times the fastest peer |", "| --- | --: | --: | --: |"]
    for name in names:
        ratio = f"{ratios[name]:.2f}" if name in ratios else ""
        table.append(f"| {name} | {speed[name]:.0f} | {memory[name]:.1f} | {ratio} |")
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl", "peft"))
    about = (
        f"{arguments.repeats} repeats, {arguments.steps} optimiser step(s) of {BATCH}, {arguments.threads} thread(s)"
    )
    text = (
        f"# Training speed\n\n{__doc__}\n{about}; {platform.machine()} CPU; {versions}.\n\n" + "\n".join(table) + "\n"
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(text)
    result = {
        "runs": runs,
        "median_tokens_per_second": speed,
        "median_peak_gb": memory,
        "ratios": ratios,
        "setting": about,
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    print(text)


if __name__ == "__main__":
    main()
