"""How ranks find each other, and how long they wait."""

from datetime import timedelta
from typing import Any

import pytest

from closerlook.train.distributed import dist, join_ranks


def test_ranks_wait_while_the_first_one_reads_and_writes_large_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing and writing 140 GB on slow storage takes longer than the ten minutes that NCCL would wait."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: given.update(options, backend=backend))
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    world = join_ranks(deepspeed=False)
    assert (world.rank, world.size, world.device.type, given["backend"]) == (1, 2, "cpu", "gloo")
    assert given["timeout"] >= timedelta(minutes=30)
