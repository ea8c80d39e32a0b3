"""Two processes that read texts together write what one writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import REPOSITORY
from tests.support.tiny_models import byte_tokenizer, save_adapter_and_merged, saved, tiny_model

pytestmark = pytest.mark.ranks


def test_two_ranks_share_the_pieces_of_several_texts(tmp_path: Path) -> None:
    saved(tiny_model(), tmp_path / "base", byte_tokenizer())
    save_adapter_and_merged(tmp_path)
    for name, count in (("a", 150), ("b", 3)):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(f"{i} the cat and the dog" for i in range(count)))
    program = [
        str(REPOSITORY / "workflow/scripts/retention.py"),
        "--base=base",
        "--tuned=adapter",
        "--text",
        "a.txt",
        "b.txt",
    ]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for ranks, flags in (("1", []), ("2", launch)):
        command = [sys.executable, *flags, *program, "--out", f"a{ranks}.parquet", f"b{ranks}.parquet"]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, env=environment)
    assert "rank 1 of 2" in done.stderr
    for name in ("a", "b"):
        assert (tmp_path / f"{name}1.parquet").read_bytes() == (tmp_path / f"{name}2.parquet").read_bytes()
    assert not list(tmp_path.glob(".*.parts"))
