"""The names of the tasks of lm-evaluation-harness, for checking a preset: without torch, and without reading them each time."""

import logging
import os
from functools import cache
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_text
from closerlook.core.versions import installed_version

logger = logging.getLogger(__name__)
PACKAGE = "lm-eval"


@cache
def harness_names() -> frozenset[str]:
    """Names of tasks, groups and tags of the installed version, which are read once and kept in the user's cache.

    Raises CloserlookError if it is not installed.
    """
    version = installed_version(PACKAGE)
    if version is None:
        raise CloserlookError(
            f"{PACKAGE} is not installed, whose tasks `benchmarks` names: pip install 'closerlook[benchmarks]'"
        )
    file = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "closerlook" / f"{PACKAGE}-{version}.txt"
    try:
        return frozenset(file.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        logger.info("reading the names of the tasks of %s %s; this takes a moment, once", PACKAGE, version)
    from lm_eval.tasks import TaskManager  # slow

    names = TaskManager().all_tasks
    try:
        write_text("\n".join(names) + "\n", file)
    except OSError:
        logger.info("%s cannot be written", file)
    return frozenset(names)
