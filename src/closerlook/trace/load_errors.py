"""Reading what was built and saved, or saying how it is built again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from closerlook.core.errors import CloserlookError


@contextmanager
def reading(folder: Path, script: str) -> Iterator[None]:
    """Within it, whatever shows that a file in `folder` is missing, cut off or foreign is raised as CloserlookError."""
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError) as error:  # numpy's, Arrow's and JSON's errors are among these
        raise CloserlookError(
            f"{folder}: not a whole index ({error}); delete it and build it again with workflow/scripts/{script}.py"
        ) from None
