"""A base model, and ways to train it."""

from tests.support.training import base, make_job, trained

__all__ = ["base", "make_job", "trained"]
