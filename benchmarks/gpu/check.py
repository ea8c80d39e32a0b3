"""Is closerlook correct on this GPU, and how fast? Measures it in 15 minutes, on a host that needs no network.

core: correctness against float64 on the CPU, faults, training compared with Trainer and TRL, with MFU, ZeRO on one rank,
decoding, shift compared with two bare forward passes, determinism. real: Gemma 3 270M base on Alpaca, LFT and SFT, 800
instructions. Each measurement has an estimate of its seconds and is skipped when less time is left. Its line is written as soon
as it ends. Exits with 1 if something is not correct. What prepare.py made must be there, except for a rehearsal (--tiny).
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[0] = str(Path(__file__).parents[1])  # benchmarks/: what all of them share

from closerlook.core.scripts import run  # noqa: E402
from common import REPOSITORY, table  # noqa: E402
from gpu.budget import Session, has_failed  # noqa: E402


def main() -> None:
    """Prepare, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("core", "real", "all"), default="all", help="default: %(default)s")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: %(default)s")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal: tiny models, two minutes on a CPU")
    parser.add_argument("--seconds", type=float, default=800, metavar="N", help="time for all (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: benchmarks/results/gpu; build/gpu for a rehearsal"
    )
    parser.add_argument("--only", metavar="REGEX", help="only those of core with such a name; other lines are kept")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for the logs and tables of the real cells")
    prepared = REPOSITORY / ".gpu"
    parser.add_argument(
        "--prepared", type=Path, default=prepared, metavar="DIR", help="what prepare.py made (default: .gpu)"
    )
    parser.add_argument(
        "--peak-tflops",
        type=float,
        default=989,
        metavar="N",
        help="the GPU's peak for dense bfloat16 (default: 989, of an H100 or H200 SXM)",
    )
    arguments = parser.parse_args()
    out = arguments.out or REPOSITORY / ("build/gpu" if arguments.tiny else "benchmarks/results/gpu")
    deadline = time.time() + arguments.seconds
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # of several, Trainer would take all
    # For determinism it must be there before CUDA starts; it has the size of torch's own default on an H100.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["HF_HUB_OFFLINE"] = "1"
    with TemporaryDirectory() as folder:
        session = measure(arguments, out, Path(folder), deadline)
    lines = session.lines()
    session.file.with_suffix(".md").write_text(report(lines, arguments), encoding="utf-8")
    if failed := [line["measurement"] for line in lines if has_failed(line)]:
        sys.exit(f"not correct on this device: {', '.join(failed)}")


def measure(arguments: argparse.Namespace, out: Path, folder: Path, deadline: float) -> Session:
    """Take all measurements, in the order of what one most wants to know."""
    from closerlook.core.errors import CloserlookError
    from closerlook.models.device import device, device_name
    from gpu import correctness, decoding, determinism, machine, materials, real, shift, training
    from gpu.bench import Bench

    target = device()
    if target.type != arguments.device:
        raise CloserlookError(f"--device: found {arguments.device}, but torch sees no GPU; expected cpu here")
    bench = Bench(
        target, arguments.tiny, folder / "prepared" if arguments.tiny else arguments.prepared, folder, arguments.peak_tflops
    )  # fmt: skip
    if arguments.tiny:
        materials.make_tiny(bench.architecture(real.MODEL), bench.prepared)
    materials.expect(bench.prepared, materials.TOKENIZER, materials.ALPACA_1K, materials.ALPACA_9K, materials.JUST_EVAL)
    name = re.sub(r"[^a-z0-9]+", "_", device_name(target).lower()).strip("_")
    out.mkdir(parents=True, exist_ok=True)
    session = Session(out / f"{name}_{arguments.part}.jsonl", deadline)
    groups = (machine, correctness, training, decoding, shift, determinism)
    core = [*(one for group in groups for one in group.MEASUREMENTS), training.COMPILED]
    if arguments.only:
        core = [one for one in core if re.search(arguments.only, one.name)]
        session.forget({one.name for one in core})
    else:
        session.file.write_text("")
    if arguments.part != "real":
        for measurement in core:
            session.take(measurement, bench)
    if arguments.part != "core" and not arguments.only:
        real.run(bench, session, arguments.keep)
    return session


def report(lines: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """All lines as a table."""
    rows = []
    for line in lines:
        outcome = next(key for key in ("result", "skipped", "error") if key in line)
        text = describe(line[outcome]) if outcome == "result" else f"{outcome}: {line[outcome]}"
        rows.append([line["measurement"], text.replace("|", "\\|").replace("\n", " "), f"{line.get('seconds', 0):.0f}"])
    title = "GPU check" + ", a rehearsal with tiny models" * arguments.tiny
    return "\n".join([f"# {title}", "", *table("llr", ["", "result", "seconds"], rows), ""])


def describe(value: Any) -> str:
    """Numbers with their names."""
    if isinstance(value, dict):
        parts = (
            f"{name} ({describe(v)})" if isinstance(v, dict) else f"{name} {describe(v)}" for name, v in value.items()
        )
        return ", ".join(parts)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    run(main)
