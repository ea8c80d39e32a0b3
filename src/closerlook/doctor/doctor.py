"""All checks of `closerlook doctor`, in the order in which they depend on each other."""

from collections.abc import Iterator
from pathlib import Path

from closerlook.config import site as sites
from closerlook.config.load import Configuration
from closerlook.config.site import Site
from closerlook.core.errors import CloserlookError
from closerlook.doctor import slurm
from closerlook.doctor.benchmarks import check_benchmarks
from closerlook.doctor.checks import Check, check
from closerlook.doctor.job import check_with_job
from closerlook.doctor.judges import check_judges
from closerlook.doctor.models import check_models
from closerlook.doctor.texts import check_texts


def doctor(
    configuration: Configuration, site_file: Path, results: Path, jobs: bool = True, timeout: float = 120
) -> Iterator[Check]:
    """Check what a run on this cluster needs, and yield each result as soon as it is known.

    results: the preset's results folder. jobs: whether to run a small job on each type of node. timeout: seconds until it starts.
    """
    site = None
    try:
        site = sites.read(site_file)
        yield Check("site file", "ok", f"{site_file}: {site.name}, GPU types {', '.join(site.gpus)}")
    except CloserlookError as error:
        advice = "" if site_file.exists() else "; copy config/site.example.yaml there and enter your own numbers"
        yield Check("site file", "FAILED", f"{error}{advice}")
    yield (controller := check("slurm", slurm.check_controller))
    if site is None:
        yield Check("partitions and jobs", "skipped", "they are named in the site file")
    elif controller.state != "ok":
        yield Check("partitions and jobs", "skipped", "Slurm does not answer")
    else:
        yield from _check_cluster(site, str(site_file), results, jobs, timeout)
    yield from check_models(configuration, results)
    yield from check_benchmarks(configuration, results)
    yield from check_texts(configuration, results)
    yield from check_judges(configuration)


def _check_cluster(site: Site, file: str, results: Path, jobs: bool, timeout: float) -> Iterator[Check]:
    usable: dict[str | None, bool] = {}
    for name, gpu in site.gpus.items():
        key = f"{file}: gpus.{name}"
        yield (
            partition := check(f"partition {gpu.partition}", slurm.check_partition, gpu.partition, f"{key}.partition")
        )
        usable[name] = partition.state == "ok"
        if usable[name]:
            yield check(f"time limit on {name}", slurm.check_time_limit, gpu, key)
            yield (nodes := check(f"nodes with {name}", slurm.check_nodes, name, gpu, key))
            if nodes.state == "ok":  # otherwise Slurm's refusal says less
                yield check(f"largest job on {name}", slurm.check_largest_job, name, gpu, site.account)
    cpu = site.cpu_partition
    yield (partition := check(f"partition {cpu or '(default)'}", slurm.check_partition, cpu, f"{file}: cpu_partition"))
    usable[None] = partition.state == "ok"
    yield check(f"account {site.account or '(default)'}", slurm.check_account, site.account, f"{file}: account")
    if not jobs:
        yield Check("jobs", "skipped", "--no-jobs")
        return
    for kind, exists in usable.items():
        if exists:
            yield from check_with_job(kind, site, results, file, timeout)
        else:
            yield Check(f"{kind or 'cpu'}: job", "skipped", "its partition does not exist or is down")
