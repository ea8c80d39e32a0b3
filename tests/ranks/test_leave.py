"""Ranks end without an abort while something still refers to their process group, as DeepSpeed does."""

import os
import socket
import subprocess
import sys

import pytest
from tests.support.tiny_training import REPOSITORY

pytestmark = pytest.mark.ranks

PROGRAM = """
import sys
import torch.distributed as dist
from closerlook.train.distributed import join_ranks

world = join_ranks(deepspeed=False)
sys.kept = dist.group.WORLD
for _ in range(3):
    world.wait()
world.leave()
"""


def start(rank: int, port: int) -> subprocess.Popen[str]:
    place = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=REPOSITORY, env=os.environ | place, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("attempt", range(6))
def test_ranks_end_cleanly_while_their_group_is_referred_to(attempt):
    """Without the pause of `leave`, each process is aborted with a probability of about a quarter."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [start(rank, port) for rank in range(2)]
    errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
