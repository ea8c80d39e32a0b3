"""All checks, in an order in which each stands on those before it."""

from collections.abc import Iterator
from pathlib import Path

from closerlook.config import site as sites
from closerlook.config.load import Configuration
from closerlook.config.site import Site
from closerlook.core.errors import CloserlookError
from closerlook.doctor import slurm
from closerlook.doctor.checks import Check
from closerlook.doctor.job import run_probe
from closerlook.doctor.judges import judges
from closerlook.doctor.models import models


def doctor(
    configuration: Configuration, site_file: Path, results: Path, jobs: bool = True, timeout: float = 120
) -> Iterator[Check]:
    """Look at everything that a run on this cluster needs, a check at a time, as each is done.

    `results` is the preset's results folder. Without `jobs` no job is run; with it each has `timeout` seconds to start.
    """
    site = None
    try:
        site = sites.read(site_file)
        yield Check("site file", "ok", f"{site_file}: {site.name}, GPU types {', '.join(site.gpus)}")
    except CloserlookError as error:
        advice = "" if site_file.exists() else "; copy config/site.example.yaml there and put your own numbers in"
        yield Check("site file", "FAILED", f"{error}{advice}")
    controller = slurm.controller()
    yield controller
    if site is None:
        yield Check("partitions and jobs", "skipped", "the site file names them")
    elif controller.state != "ok":
        yield Check("partitions and jobs", "skipped", "Slurm does not answer")
    else:
        yield from _on_cluster(site, str(site_file), results, jobs, timeout)
    yield from models(configuration, results)
    yield from judges(configuration)


def _on_cluster(site: Site, file: str, results: Path, jobs: bool, timeout: float) -> Iterator[Check]:
    there: dict[str | None, bool] = {}
    for name, gpu in site.gpus.items():
        key = f"{file}: gpus.{name}"
        yield (partition := slurm.partition(gpu.partition, f"{key}.partition"))
        if there.setdefault(name, partition.state == "ok"):
            yield slurm.time_limit(name, gpu, key)
            yield (nodes := slurm.nodes(name, gpu, key))
            if nodes.state == "ok":  # Slurm's refusal of what is not there says less
                yield slurm.largest_job(name, gpu, site.account)
    yield (partition := slurm.partition(site.cpu_partition, f"{file}: cpu_partition"))
    there[None] = partition.state == "ok"
    yield slurm.account(site, f"{file}: account")
    if not jobs:
        yield Check("jobs", "skipped", "as asked")
        return
    for kind, exists in there.items():
        where = kind or "cpu"
        if exists:
            yield from run_probe(where, kind, site, results, file, timeout)
        else:
            yield Check(f"{where}: job", "skipped", "its partition is not there, or down")
