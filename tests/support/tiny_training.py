"""A tiny random Llama, a word-level tokenizer, a handful of instances, and the script in processes of its own."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from closerlook.core.scripts import as_flags
from closerlook.train.setup import Job
from tests.support import REPOSITORY

COLORS = ["red", "green", "blue", "white", "black", "pink", "gray", "brown"]
WORDS = ["Question", ":", "Answer", "which", "color", "has", "?", "it", "is", "and", "then", ".", *COLORS]


def make_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {
        word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *WORDS, *(f"thing{i}" for i in range(40))])
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def make_model(seed: int = 0, **config: Any) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    defaults = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return LlamaForCausalLM(LlamaConfig(**(defaults | config)))


def make_rows(count: int) -> list[dict[str, Any]]:
    """Instances of very different lengths, so that micro-batches and ranks differ in tokens."""
    return [
        {
            "id": f"{i:016x}",
            "instruction": f"which color has thing{i % 40} ?",
            "response": " and then ".join(["it is " + COLORS[(i * 3 + k) % 8] for k in range(1 + (i * 7) % 5)]) + " .",
            "source": "test",
            "row": i,
        }
        for i in range(count)
    ]


def command(job: Job) -> list[str]:
    """The script's arguments for `job`, whose configuration is written where the script finds it."""
    config = job.out / "config.json"
    job.config.write(config)
    paths = {
        "config": config,
        "digest": job.config.training_digest,
        "model": job.model,
        "data": job.data,
        "out": job.out,
    }
    flags = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    return ["workflow/scripts/train.py", *flags, *shlex.split(as_flags(job.engine))]


def run_script(job: Job, ranks: int = 1, timeout: float = 500) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own, or in `ranks` of them."""
    launcher = [sys.executable]
    if ranks > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    return subprocess.run(
        [*launcher, *command(job)], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=timeout
    )


def lines(cell: Path) -> list[dict[str, Any]]:
    """The training log."""
    return [json.loads(line) for line in (cell / "train_log.jsonl").read_text().splitlines()]


def losses(cell: Path) -> list[float]:
    return [line["loss"] for line in lines(cell)]


def held_out(cell: Path) -> dict[str, Any]:
    """The losses on held-out instances."""
    return json.loads((cell / "manifest.json").read_text())["held_out"]
