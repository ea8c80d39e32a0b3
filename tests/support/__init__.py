"""What several test files use."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
