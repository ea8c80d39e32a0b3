"""A tiny model with questions to answer, and the program that answers them."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

from closerlook.config.cell import CellConfig, PromptTemplate
from closerlook.config.settings import GenerateSettings
from closerlook.core.schemas import EVALSET
from tests.support import REPOSITORY
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model

SCRIPT = REPOSITORY / "workflow/scripts/generate.py"
TEMPLATE = "Q: {instruction}\nA:"
QUESTIONS = ["Who?", "What is {this}? 你好", "Say 🙂", "the cat and the dog said " * 4, "a", "Why not? " * 3, "b"]


def write_evalset(path, questions=QUESTIONS, **first):
    rows = [
        {"id": f"q{i}", "instruction": text, "task_types": [], "topics": [], "source": "test"}
        for i, text in enumerate(questions)
    ]
    rows[0] |= first
    pq.write_table(pa.Table.from_pylist(rows, schema=EVALSET), path)


def put_inputs(folder):
    """Write a base model, questions and a configuration into the folder."""
    saved(tiny_model(), folder / "base", byte_tokenizer())
    write_evalset(folder / "evalset.parquet")
    config = CellConfig(template=PromptTemplate(text=TEMPLATE), generate=GenerateSettings(max_new_tokens=12))
    config.write(folder / "config.json")


def command(folder, out, *extra):
    named = {"model": "base", "evalset": "evalset.parquet", "config": "config.json", "out": out}
    flags = [f"--{flag}={folder / name}" for flag, name in named.items()]
    return [sys.executable, str(SCRIPT), *flags, *extra]


def hidden_parts(folder):
    return sorted(folder.glob(".responses.parquet.parts/*/*.parquet"))
