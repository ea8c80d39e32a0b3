"""A fake cluster of shell scripts."""

from tests.support.pretended_slurm import pretended

__all__ = ["pretended"]
