"""The GPU check itself: it finds planted faults, continues after errors, and keeps to its time."""

import json
import time

import pytest
import torch
from tests.support import REPOSITORY

from closerlook.generate.ragged_cache import RaggedKVCache
from closerlook.models import packed
from closerlook.shift import divergence
from closerlook.train import loss


@pytest.fixture
def gpu(monkeypatch):
    """Makes the package importable, as check.py does."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))


@pytest.fixture
def bench(gpu, tmp_path):
    from gpu.bench import Bench

    return Bench(torch.device("cpu"), True, tmp_path, tmp_path, 989.0)


@pytest.fixture
def session(gpu, tmp_path):
    from gpu.budget import Session

    return Session(tmp_path / "lines.jsonl", time.time() + 60)


def plant_in_packed_logits(monkeypatch):
    """Segments see each other."""
    separate = packed._one_by_one
    monkeypatch.setattr(
        packed, "_one_by_one", lambda q, k, v, segments, *rest: separate(q, k, v, [sum(segments)], *rest)
    )


def plant_in_loss_and_gradients(monkeypatch):
    """The gradient lacks the -1 at the target."""
    monkeypatch.setattr(loss._Block, "slopes", lambda block, total: block.exponentials.div_(total))


def plant_in_decoding(monkeypatch):
    """Rows see what earlier responses left in the cache behind their own tokens."""
    true = RaggedKVCache.mask
    monkeypatch.setattr(RaggedKVCache, "mask", lambda cache, window, like: torch.zeros_like(true(cache, window, like)))


def plant_in_shift(monkeypatch):
    """One of the two KLs is off by a thousandth."""
    from gpu import correctness

    def wrong(base, tuned):
        found = divergence.compare_distributions(base, tuned)
        return found | {"kl_tuned_base": found["kl_tuned_base"] * 1.001}

    monkeypatch.setattr(correctness, "compare_distributions", wrong)


def plant_in_out_of_memory(monkeypatch):
    """Nothing is known to be for lack of memory."""
    from gpu import correctness

    monkeypatch.setattr(correctness, "failure_reason", lambda error: "unknown")


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("packed logits", plant_in_packed_logits),
        ("loss and gradients", plant_in_loss_and_gradients),
        ("decoding", plant_in_decoding),
        ("shift", plant_in_shift),
        ("out of memory", plant_in_out_of_memory),
    ],
)
def test_a_planted_fault_is_found(name, plant, bench, session, monkeypatch):
    from gpu.budget import has_failed
    from gpu.correctness import MEASUREMENTS

    measurement = next(measurement for measurement in MEASUREMENTS if measurement.name == name)
    session.take(measurement, bench)
    plant(monkeypatch)
    session.take(measurement, bench)
    right, wrong = session.lines()
    assert not has_failed(right), right
    assert wrong["result"]["passed"] is False
    assert has_failed(wrong)


def test_an_error_is_recorded_and_stops_no_other_measurement(session):
    from gpu.budget import Measurement, has_failed

    def broken():
        raise RuntimeError("no kernel image is available")

    for is_check in (False, True):
        session.take(Measurement("broken", 1, broken, is_check))
    session.take(Measurement("whole", 1, lambda: {"number": 1.5}))
    speed, check, whole = session.lines()
    assert speed["error"] == "RuntimeError: no kernel image is available"
    assert (has_failed(speed), has_failed(check), has_failed(whole)) == (False, True, False)
    assert whole["result"] == {"number": 1.5}


def test_a_measurement_that_takes_too_long_is_ended(session):
    """Also one that recovers from every exception."""
    from gpu.budget import Measurement

    def endless():
        while True:
            try:
                time.sleep(10)
            except Exception:
                continue

    session.take(Measurement("endless", 0.05, endless))
    assert "ended after" in session.lines()[0]["error"]


def test_what_would_take_too_long_is_not_begun(session):
    from gpu.budget import Measurement

    session.take(Measurement("long", 61, lambda: pytest.fail("it was begun")))
    assert "skipped" in session.lines()[0]
    assert json.loads(session.file.read_text())["measurement"] == "long"
