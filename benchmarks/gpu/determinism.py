"""Determinism: whether the same training twice gives the same bytes, with `deterministic` and without, and what it costs."""

import json
from pathlib import Path

from closerlook.config.cell import CellConfig, PromptTemplate
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.files import read_parquet, sha256, write_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.train.run import train
from closerlook.train.setup import Job
from gpu import materials
from gpu.bench import Bench
from gpu.budget import Measurement, Result
from gpu.training import save_model

STEPS, BATCH = 6, 32


def twice(bench: Bench) -> Result:
    """The same steps, plain and deterministic in turn, two times each."""
    folder = bench.folder / "determinism"
    model = save_model(bench, bench.folder / "peers/model")
    data = folder / "data.parquet"
    write_parquet(read_parquet(bench.prepared / materials.ALPACA_1K).slice(0, STEPS * BATCH), INSTANCES, data)
    runs = [(name, number) for number in (1, 2) for name in ("plain", "deterministic")]
    digests: dict[str, list[str]] = {"plain": [], "deterministic": []}
    seconds: dict[str, list[float]] = {"plain": [], "deterministic": []}
    for name, number in runs:
        out = folder / f"{name}{number}"
        run(model, data, out, deterministic=name == "deterministic")
        digests[name].append(sha256(out / "model" / "model.safetensors"))
        lines = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
        seconds[name].append(sum(line["seconds"] for line in lines[1:]) or lines[0]["seconds"])
    equal = {f"{name}_equal": len(set(found)) == 1 for name, found in digests.items()}
    ratio = seconds["deterministic"][-1] / seconds["plain"][-1]
    return equal | {"deterministic_times_plain": ratio, "passed": equal["deterministic_equal"]}


def run(model: Path, data: Path, out: Path, deterministic: bool) -> None:
    """Train all parameters for an epoch."""
    settings = TrainSettings(kind="full", epochs=1.0, batch_size=BATCH, max_length=512)
    config = CellConfig(template=PromptTemplate(text="{instruction}\n"), train=settings)
    train(Job(config, model, data, out, EngineSettings(micro_batch=BATCH, deterministic=deterministic)))


MEASUREMENTS = [Measurement("determinism", 40, twice, is_check=True)]
