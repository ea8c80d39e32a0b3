"""A base model, and ways to train it."""

from tests.support.fake_cuda import cuda_guard, fake_cuda
from tests.support.training import base, make_job, trained

__all__ = ["base", "cuda_guard", "fake_cuda", "make_job", "trained"]
