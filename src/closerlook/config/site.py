"""The site: what the cluster offers. One small file, config/site.yaml; nothing in it changes a result."""

from pathlib import Path

from pydantic import Field, ValidationError

from closerlook.config.problems import nearest, refuse_invalid
from closerlook.config.settings import Settings
from closerlook.config.yaml_file import read_yaml
from closerlook.core.errors import CloserlookError


class Gpu(Settings):
    """A type of GPU and the partition that has it. 1 GB is 10^9 bytes."""

    partition: str = Field(description="Slurm partition of the nodes that have it")
    nodes: int = Field(gt=0, description="nodes of that partition that one job can get")
    gpus_per_node: int = Field(gt=0, description="GPUs of each node")
    cpus_per_node: int = Field(gt=0, description="CPU cores of each node")
    memory_per_node_gb: float = Field(gt=0, description="main memory of each node")
    gpu_memory_gb: float = Field(gt=0, description="memory of each GPU")
    peak_tflops: float = Field(gt=0, description="dense bfloat16 peak of each GPU, in 10^12 operations per second")
    mfu: float = Field(
        0.4,
        gt=0,
        le=1,
        description="share of the peak that training is taken to reach in long micro-batches, until a run is measured",
    )
    gres: str | None = Field(
        None, description="what Slurm's --gres calls it; gpu:<type> when left out, plain gpu where GPUs have no type"
    )
    max_hours: float = Field(24, gt=0, description="longest time limit that the partition allows")
    price_per_gpu_hour: float | None = Field(None, gt=0, description="what one hour of one GPU costs, in any currency")


class Site(Settings):
    """A cluster."""

    name: str = Field(description="what people call it")
    account: str | None = Field(None, description="Slurm account that jobs are charged to; your default when left out")
    cpu_partition: str | None = Field(
        None, description="partition of jobs without a GPU; Slurm's default partition when left out"
    )
    modules: list[str] = Field([], description="environment modules that each job loads first, such as cuda/12.8")
    scratch: str | None = Field(
        None, description="folder for checkpoints that all nodes see; null for the cell's own folder"
    )
    notice_seconds: int = Field(
        300, gt=0, description="how long before its time limit a training is asked to write a checkpoint and stop"
    )
    gpus: dict[str, Gpu] = Field(
        min_length=1,
        description="types of GPU; one whose name is part of a device's (h100 of NVIDIA H100 80GB HBM3) owns that device's runs",
    )

    def gpu(self, name: str | None) -> tuple[str, Gpu]:
        """The type of GPU called `name`, or the first. Raises CloserlookError for one that the site lacks."""
        name = name or next(iter(self.gpus))
        if name not in self.gpus:
            raise CloserlookError(f"site {self.name}: found no GPU type {name!r}, expected {nearest(name, self.gpus)}")
        return name, self.gpus[name]

    def gres(self, name: str, count: int) -> str:
        """What Slurm's --gres asks for: `count` GPUs of a type on each node."""
        return f"{self.gpus[name].gres or f'gpu:{name}'}:{count}"


def read(file: Path) -> Site:
    """Read a site file. Raises CloserlookError that names every problem at once."""
    value = read_yaml(file, named=str(file))
    try:
        return Site.model_validate(value)
    except ValidationError as error:
        refuse_invalid(file, error)
