"""The files that check.py needs from prepare.py, and tiny ones for a rehearsal."""

import tarfile
from pathlib import Path

from transformers import AutoModelForCausalLM

from closerlook.config.architecture import Architecture
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import EVALSET, INSTANCES
from common import byte_tokenizer
from gpu.bench import config_of

TOKENIZER = "tokenizer.tar.gz"
"""The tokenizer's files, a quarter of their size."""
BASE = "base"
"""The base model's folder. It is made of the pieces, unless it is there."""
PIECES = "piece*"
ALPACA_1K, ALPACA_9K, JUST_EVAL = "data/alpaca_1k.parquet", "data/alpaca_9k.parquet", "data/just_eval_800.parquet"


def expect(prepared: Path, *names: str) -> None:
    """Raise CloserlookError if something is missing."""
    if missing := [name for name in names if not list(prepared.glob(name))]:
        raise CloserlookError(
            f"{prepared}: found no {', '.join(missing)}; run python benchmarks/gpu/prepare.py where there is a network, and copy "
            "the folder here"
        )


def pack_folder(folder: Path, archive: Path) -> None:
    """Put the files of a folder into an archive, which shutil.unpack_archive puts into another."""
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)


def make_tiny(architecture: Architecture, folder: Path) -> None:
    """Write tiny versions of all files: a model, a tokenizer of bytes, a few rows."""
    rows = [
        {"id": f"{i:016x}", "instruction": f"say {i}", "response": f"{i} is a number. " * (1 + i % 4), "source": "tiny", "row": i}
        for i in range(32)
    ]  # fmt: skip
    for name in (ALPACA_1K, ALPACA_9K):
        write_parquet(rows, INSTANCES, folder / name)
    questions = [
        {"id": str(i), "instruction": row["instruction"], "task_types": [], "topics": [], "reference": None, "source": ""}
        for i, row in enumerate(rows[:6])
    ]  # fmt: skip
    write_parquet(questions, EVALSET, folder / JUST_EVAL)
    tokenizer = byte_tokenizer([row["response"] for row in rows], architecture.vocab_size)
    tokenizer.save_pretrained(folder / BASE)
    pack_folder(folder / BASE, folder / TOKENIZER)
    AutoModelForCausalLM.from_config(config_of(architecture)).save_pretrained(folder / BASE)
