"""A cache of answers."""

from tests.support.endpoint import cache

__all__ = ["cache"]
