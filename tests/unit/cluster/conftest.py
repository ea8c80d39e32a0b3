"""A grid of five cells, and a Slurm that answers as a test says."""

from tests.support.cell_results import results, slurm

__all__ = ["results", "slurm"]
