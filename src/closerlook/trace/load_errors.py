"""Errors of loading an index or embeddings, raised with the script that builds them again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from closerlook.core.errors import CloserlookError


@contextmanager
def index_errors(folder: Path, script: str) -> Iterator[None]:
    """Raise any error that shows that a file in `folder` is missing, truncated or foreign as CloserlookError."""
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError) as error:  # numpy's, Arrow's and JSON's errors are among these
        raise CloserlookError(
            f"{folder}: not a complete index ({error}); delete it and build it again with workflow/scripts/{script}.py"
        ) from None
