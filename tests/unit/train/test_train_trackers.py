"""Experiment trackers get the training log."""

from pathlib import Path

import pytest
from tests.support.tiny_training import losses

from closerlook.core.errors import CloserlookError
from closerlook.train.run import train

TEMPLATE = "Question : {instruction} Answer :"


def outputs(cell: Path) -> set[str]:
    return {path.name for path in cell.iterdir()}


def test_missing_tracker_is_told_before_training(make_job, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    job = make_job(report_to=["trackio"])
    with pytest.raises(CloserlookError, match="pip install trackio"):
        train(job)
    assert not job.out.exists()


def test_tensorboard_gets_every_step(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cell = trained(report_to=["tensorboard"])
    events = EventAccumulator(str(cell / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(losses(cell), rel=1e-6)


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_hosted_trackers_get_every_step(trained, monkeypatch, name):
    """Against a stand-in with the calls that both packages have: init, and the run's log and finish."""
    import importlib.machinery
    import sys
    import types

    seen = []

    class Run:
        def log(self, values, step):
            seen.append((step, values["train/loss"]))

        def finish(self):
            seen.append("finished")

    package = types.ModuleType(name)
    package.__spec__ = importlib.machinery.ModuleSpec(name, None)
    package.init = lambda project, name, config: seen.append((project, config["kind"])) or Run()
    monkeypatch.setitem(sys.modules, name, package)
    cell = trained(report_to=[name])
    assert seen == [("closerlook", "full"), *enumerate(losses(cell), 1), "finished"]
