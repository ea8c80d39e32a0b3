"""The held-out loss of several processes is that of one."""

import pytest
from tests.support.tiny_training import REPOSITORY, held_out, run_script

pytestmark = pytest.mark.ranks


@pytest.mark.parametrize(
    ("kind", "ranks", "deepspeed", "count"),
    [("full", 2, None, 7), ("full", 2, "zero3", 7), ("lora", 2, "zero3", 1)],
)
def test_ranks_equal_one_process(make_job, trained, kind, ranks, deepspeed, count):
    """One instance for two ranks too: the second must pass something, and count nothing."""
    reference = held_out(trained("one", rows=31, held_out=count, kind=kind))
    config = {"deepspeed": str(REPOSITORY / f"config/deepspeed/{deepspeed}.json")} if deepspeed else {}
    job = make_job("many", rows=31, held_out=count, kind=kind, **config)
    done = run_script(job, ranks)
    assert done.returncode == 0, done.stderr[-4000:]
    actual = held_out(job.out)
    assert actual["base_losses"] == pytest.approx(reference["base_losses"], rel=1e-5)
    assert actual["losses"] == pytest.approx(reference["losses"], abs=2e-3)
    assert {key: actual[key] for key in ("instances", "tokens")} == {
        key: reference[key] for key in ("instances", "tokens")
    }
