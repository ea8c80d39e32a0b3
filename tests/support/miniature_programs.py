"""The programs that make the miniature and its base model."""

import subprocess
import sys

from tests.support import REPOSITORY

MAKE = REPOSITORY / "workflow/scripts/make_miniature.py"


PRETRAIN = REPOSITORY / "workflow/scripts/pretrain_miniature.py"


def command(*words):
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, timeout=900)
