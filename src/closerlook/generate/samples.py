"""Several sampled answers to each instruction, written as responses.parquet is: the answer k to question q has the id k/q."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.generate.responses import generate


def sample(
    base: Path,
    tuned: Path | None,
    evalset: Path,
    template: str,
    settings: GenerateSettings,
    samples: int,
    out: Path,
    batch_size: int,
    precision: str,
    gpus: int = 1,
) -> None:
    """Sample `samples` answers to every instruction with the model in `base`, or the cell in `tuned`.

    Each is drawn with numbers that belong to its id, so neither the batch nor the number of samples changes it. Writes
    RESPONSES in the evalset's order, all first answers first. Goes on where it stopped; ranks share the work. Raises
    CloserlookError for a temperature of 0, at which all samples would be one, and as generating does.
    """
    if not settings.temperature:
        raise CloserlookError(
            "--temperature: found 0, expected above 0: samples of greedy decoding are all the same answer"
        )
    questions = read_parquet(evalset, columns=["id", "instruction"])
    ids = questions["id"].to_pylist()
    numbered = pa.array([f"{number}/{id_}" for number in range(samples) for id_ in ids], pa.string())
    repeated = pa.concat_tables([questions] * samples).set_column(0, "id", numbered)
    with TemporaryDirectory() as folder:
        many = Path(folder) / evalset.name
        write_parquet(repeated, repeated.schema, many)
        generate(base, tuned, many, template, settings, out, batch_size, precision, gpus)
