"""A grid of five cells, and a fake Slurm with given answers."""

from tests.support.cell_results import results, slurm

__all__ = ["results", "slurm"]
