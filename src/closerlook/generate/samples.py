"""Several sampled answers to each instruction, in the form of responses.parquet: answer k to question q has the id k/q."""

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

    The random numbers of an answer depend on its id, so neither the batch nor the number of samples changes it. Writes RESPONSES
    in the evalset's order, all first answers first. Resumes where it stopped; ranks share the work. Raises CloserlookError for a
    temperature of 0, at which all samples would be equal, and as `generate` does.
    """
    if not settings.temperature:
        raise CloserlookError(
            "--temperature: found 0, expected above 0: greedy decoding gives the same answer each time"
        )
    questions = read_parquet(evalset, columns=["id", "instruction"])
    ids = questions["id"].to_pylist()
    numbered = pa.array([f"{number}/{id_}" for number in range(samples) for id_ in ids], pa.string())
    repeated = pa.concat_tables([questions] * samples).set_column(0, "id", numbered)
    with TemporaryDirectory() as folder:
        repeated_file = Path(folder) / evalset.name
        write_parquet(repeated, repeated.schema, repeated_file)
        generate(base, tuned, repeated_file, template, settings, out, batch_size, precision, gpus)
