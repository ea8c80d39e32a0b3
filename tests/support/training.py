"""A base model, and a way to train it in this process."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from closerlook.config.cell import CellConfig, PromptTemplate
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.files import write_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.train.run import train
from closerlook.train.setup import Job
from tests.support.tiny_training import make_model, make_rows, make_tokenizer

torch.set_num_threads(1)

NEEDS_COMPILER = pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler, which torch.compile needs")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a base model with biases."""
    folder = tmp_path_factory.mktemp("base")
    make_model(attention_bias=True).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def make_job(base: Path, tmp_path: Path) -> Callable[..., Job]:
    """Make a job from the settings that matter to a test; `rows`, `model` and `name` may be given too."""

    def make(name: str = "cell", *, rows: list[dict[str, Any]] | int = 24, model: Path = base, **settings: Any) -> Job:
        data = tmp_path / f"{name}.parquet"
        write_parquet(make_rows(rows) if isinstance(rows, int) else rows, INSTANCES, data)
        engine = {key: settings.pop(key) for key in list(settings) if key in EngineSettings.model_fields}
        defaults = {"kind": "full", "learning_rate": 1e-2, "epochs": 2.0, "batch_size": 8, "max_length": 64}
        template = PromptTemplate(text="Question : {instruction} Answer :")
        config = CellConfig(template=template, train=TrainSettings(**(defaults | settings)))
        return Job(config, model, data, tmp_path / name, EngineSettings(**engine))

    return make


@pytest.fixture
def trained(make_job: Callable[..., Job]) -> Callable[..., Path]:
    """Train in this process; returns the cell's folder."""

    def make(*args: Any, **settings: Any) -> Path:
        job = make_job(*args, **settings)
        train(job)
        return job.out

    return make
