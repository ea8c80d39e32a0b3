"""Fixtures of this folder's tests."""

from tests.support.fake_cuda import cuda_guard, fake_cuda

__all__ = ["cuda_guard", "fake_cuda"]
