"""Two processes that generate together write what one writes."""

import os
import subprocess
import sys

import pytest
from tests.support.responses import QUESTIONS, command, put_inputs, write_evalset

pytestmark = pytest.mark.ranks


def test_two_ranks_share_the_prompts(tmp_path):
    """They meet at MASTER_ADDR alone: an interface for gloo, which nodes may resolve to their loopback, is not needed."""
    put_inputs(tmp_path)
    write_evalset(tmp_path / "evalset.parquet", [f"{i} {QUESTIONS[i % 7]}" for i in range(150)])
    subprocess.run(command(tmp_path, "one.parquet"), check=True, capture_output=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone"]
    two = command(tmp_path, "two.parquet")[1:]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "none"}
    done = subprocess.run([*torchrun, *two], check=True, capture_output=True, text=True, env=environment)
    assert "rank 1 of 2" in done.stderr
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert not (tmp_path / ".two.parquet.parts").exists()
