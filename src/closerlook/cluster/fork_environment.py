"""The environment of a fork (closerlook.cluster.fork_server): which variables it can have of its own, and how it gets them."""

import os
import sys
from collections.abc import Iterable, Mapping

from closerlook.core.scripts import ALLOCATOR

THREAD_LIMITS = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
"""Libraries that read their number of threads when they are loaded, as Snakemake sets them for a job of one thread."""
OWN = {f"{name}_NUM_THREADS": "1" for name in THREAD_LIMITS} | {
    "VECLIB_MAXIMUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow would start a thread
}
"""Variables of the server's environment that Snakemake's does not have."""
PER_JOB = {"CLOSERLOOK_FAILURE_NOTE", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "JE_ARROW_MALLOC_CONF"} | {
    *ALLOCATOR,
    *("TMPDIR", "TMP", "TEMPDIR", "TEMP"),
    *("PWD", "OLDPWD", "SHLVL", "_"),
}
"""Variables that a job may have its own values of. All others must be the server's: libraries read many when they are loaded."""
OFFLINE = {
    "huggingface_hub.constants": ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
    "datasets.config": ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
}
"""Modules with a constant HF_HUB_OFFLINE, and the variables that they took it from; the first one that is set counts."""
TRUE = ("1", "ON", "YES", "TRUE")


def shared(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables in which a job must agree with the server."""
    return {name: value for name, value in environment.items() if name not in PER_JOB}


def replace_environment(inherited: Iterable[str], wanted: Mapping[str, str]) -> None:
    """Give this fork the variables of its job instead of the inherited ones, but keep what libraries have set since."""
    for name in set(inherited) - wanted.keys():
        os.environ.pop(name, None)
    os.environ.update(wanted)
    for module, names in OFFLINE.items():
        if module in sys.modules:
            value = next(filter(None, map(wanted.get, names)), "")
            sys.modules[module].HF_HUB_OFFLINE = value.upper() in TRUE  # type: ignore[attr-defined]
