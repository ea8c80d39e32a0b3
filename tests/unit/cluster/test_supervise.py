"""The supervisor records why a job failed, also when it was killed, and lets nothing run twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import REPOSITORY

from closerlook.cluster import adoption, attempts
from closerlook.cluster.supervise import HANDED_OVER, Job, supervise
from closerlook.core.errors import CloserlookError, NonFiniteLoss, Stopped, failure_reason

RAISES = """
import errno
from closerlook.core.errors import CloserlookError, NonFiniteLoss
from closerlook.core.scripts import run
def main():
    raise {error}
run(main)
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    for name in ("SLURM_JOB_ID", "SLURM_JOB_NODELIST"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "data").write_text("data")
    folder = tmp_path / "cell"
    return Job("train", folder, (folder / "out",), (tmp_path / "data",), tmp_path / "log", "--rate 1", 1, 60)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Restore the signal handlers, which the supervisor sets for its whole process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def write(job: Job) -> list[str]:
    return python(f"open({str(job.outputs[0])!r}, 'w').write('result')")


def last(job: Job) -> attempts.Attempt:
    return attempts.read(job.folder, job.stage)[-1]


def failure(job: Job) -> dict:
    return json.loads(attempts.failure_file(job.folder, job.stage).read_text())


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def started(job: Job, command: list[str]) -> subprocess.Popen[bytes]:
    """Start the supervisor in its own process, and wait until its command has begun."""
    script = REPOSITORY / "workflow/scripts/supervise.py"
    words = [sys.executable, str(script), "--stage", job.stage, "--folder", str(job.folder), "--notice", "60"]
    words += ["--outputs", str(job.outputs[0]), "--inputs", *map(str, job.inputs), "--log", str(job.log)]
    words += ["--identity", job.identity, "--tries", str(job.tries), "--", *command]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    wait_for((job.folder / "begun").exists)
    return process


def sleep(job: Job) -> list[str]:
    return python(f"import time; open({str(job.folder / 'begun')!r}, 'w'); time.sleep(60)")


def test_success_leaves_no_failure(job: Job) -> None:
    assert supervise(job, python("raise SystemExit(3)")) == 3
    assert failure(job)["reason"] == "unknown"
    assert supervise(job, write(job)) == 0
    assert [attempt.done for attempt in attempts.read(job.folder, job.stage)] == [False, True]
    assert not attempts.failure_file(job.folder, job.stage).exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("CloserlookError('no such file')", "bad input"),
        ("NonFiniteLoss('the loss is nan')", "non-finite loss"),
        ("MemoryError()", "out of memory"),
        (
            "RuntimeError('[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can\\'t allocate memory')",
            "out of memory",
        ),
        ("RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)')", "out of memory"),
        ("OSError(errno.ENOSPC, 'No space left on device')", "disk full"),
        ("KeyError('surprise')", "unknown"),
    ],
)
def test_a_programs_own_word_is_taken(job: Job, error: str, reason: str) -> None:
    assert supervise(job, python(RAISES.format(error=error))) != 0
    assert failure(job)["reason"] == reason
    assert failure(job)["tried_again_by_itself"] is (reason in {"out of memory", "unknown"})


def test_torch_out_of_memory_is_known() -> None:
    torch = pytest.importorskip("torch")
    assert failure_reason(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")) == "out of memory"
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert failure_reason(caught.value) == "out of memory"
    assert [failure_reason(error("x")) for error in (CloserlookError, NonFiniteLoss, Stopped)] == [
        "bad input",
        "non-finite loss",
        "unknown",
    ]


def test_a_known_reason_of_one_rank_outweighs_the_others(job: Job) -> None:
    ranks = "import json, os\nnote = os.environ['CLOSERLOOK_FAILURE_NOTE']\n" + "".join(
        f"open(note + '.{rank}', 'w').write(json.dumps({{'reason': {reason!r}, 'message': 'm'}}))\n"
        for rank, reason in enumerate(["unknown", "out of memory", "unknown"])
    )
    supervise(job, python(ranks + "raise SystemExit(1)"))
    assert failure(job)["reason"] == "out of memory"


def test_what_would_end_alike_is_not_tried_again(job: Job) -> None:
    supervise(job, python(RAISES.format(error="NonFiniteLoss('the loss is nan')")))
    with pytest.raises(CloserlookError, match=r"not tried again.*non-finite loss.*the loss is nan"):
        supervise(replace(job, tries=2), write(job))
    assert not job.outputs[0].exists()
    changed = replace(job, tries=2, identity="--rate 2")
    assert supervise(changed, write(job)) == 0, "other settings deserve their own try"


def test_a_new_snakemake_tries_all_again(job: Job) -> None:
    supervise(job, python(RAISES.format(error="CloserlookError('no such file')")))
    assert supervise(job, write(job)) == 0


def test_the_log_tells_of_kills_by_the_kernel(job: Job) -> None:
    job.log.write_text("train: 1%\rtrain: 2%\nslurmstepd: error: Detected 1 oom_kill event in StepId=7.0\n")
    supervise(job, python("import os; os.kill(os.getpid(), 9)"))
    assert failure(job)["reason"] == "out of memory"
    job.log.write_text("train: 1%\rtrain: 2%\n")
    assert supervise(job, python("import os; os.kill(os.getpid(), 9)")) == 128 + 9
    assert (failure(job)["reason"], failure(job)["log_tail"]) == ("unknown", ["train: 2%"])
    assert "killed by signal 9" in failure(job)["message"]


def test_signals_are_passed_on_and_told(job: Job) -> None:
    job.folder.mkdir()
    process = started(job, sleep(job))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert failure(job)["reason"] == "cancelled"


SCONTROL = """#!/bin/sh
if test -e {told}; then echo "JobId=7 JobState={state} Restarts={restarts} StartTime=Unknown EndTime={start} TimeLimit={limit}"
else echo "JobId=7 JobState=RUNNING Restarts=0 StartTime={start} EndTime=Unknown TimeLimit={limit}"; fi
"""


@pytest.mark.parametrize(
    ("state", "restarts", "limit", "reason"),
    [
        ("RUNNING", 0, "00:02:00", "time limit"),
        ("COMPLETING", 0, "00:01:30", "time limit"),
        ("COMPLETING", 0, "10:00:00", "cancelled"),
        ("COMPLETING", 0, "UNLIMITED", "cancelled"),
        ("COMPLETING", 1, "00:01:30", "preempted"),
        ("RUNNING", 0, "2-00:00:00", "preempted"),
        ("PREEMPTED", 0, "00:02:00", "preempted"),
        ("CANCELLED", 0, "10:00:00", "cancelled"),
        ("TIMEOUT", 0, "10:00:00", "time limit"),
        ("OUT_OF_MEMORY", 0, "10:00:00", "out of memory"),
        ("NODE_FAIL", 0, "10:00:00", "node failure"),
    ],
)
def test_slurm_says_why_it_stopped_a_job(
    job: Job, monkeypatch: pytest.MonkeyPatch, state: str, restarts: int, limit: str, reason: str
) -> None:
    start, told = time.strftime("%Y-%m-%dT%H:%M:%S"), job.folder.parent / "told"
    text = SCONTROL.format(told=told, state=state, restarts=restarts, start=start, limit=limit)
    fake(job.folder.parent / "bin", monkeypatch, "scontrol", text)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    job.folder.mkdir()
    process = started(job, sleep(job))
    told.touch()
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert failure(job)["reason"] == reason


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_killed_supervisor_is_explained_by_the_next(job: Job) -> None:
    job.folder.mkdir()
    process = started(job, sleep(job))
    process.kill()
    process.wait()
    assert last(job).ended is None
    assert supervise(job, write(job)) == 0
    first, second = attempts.read(job.folder, job.stage)
    assert (first.reason, first.message, second.number) == ("unknown", "killed before it could say why", 2)


def test_nothing_runs_twice(job: Job) -> None:
    job.folder.mkdir()
    process = started(job, sleep(job))
    with pytest.raises(CloserlookError, match=rf"process {process.pid} on "):
        supervise(job, write(job))
    # A job was requeued while its first node was unreachable, not dead: the older start stops when its attempt is not the last.
    attempts.write(job.folder, job.stage, [last(job).model_copy(update={"pid": 1})])
    assert process.wait(30) == 2
    assert last(job).pid == 1


def test_an_adopted_job_hands_over(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    job.folder.mkdir()
    job.records.mkdir(parents=True)
    adoption.adopt(job.records, "7")
    assert adoption.adopted_job(job.records) == "7"
    assert supervise(job, write(job)) == HANDED_OVER
    assert last(job).done
    assert not job.outputs[0].exists(), "Snakemake would remove it before the waiting job starts"
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert supervise(job, python("raise SystemExit('must not run')")) == 0
    assert job.outputs[0].read_text() == "result"
    assert adoption.adopted_job(job.records) is None
    assert [attempt.job for attempt in attempts.read(job.folder, job.stage)] == ["7"]


@pytest.mark.parametrize("change", ["settings", "input"])
def test_what_was_adopted_must_be_what_is_wanted(job: Job, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    job.records.mkdir(parents=True)
    adoption.adopt(job.records, "7")
    supervise(job, write(job))
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    os.utime(job.inputs[0], ns=(1, 1))
    other = replace(job, identity="--rate 2" if change == "settings" else job.identity)
    assert supervise(other, python("raise SystemExit(5)")) == 5


@pytest.mark.parametrize("text", ["", "{", "[]", '[{"stage": 1}]', "null", "\x00"])
def test_broken_records_are_no_obstacle(job: Job, text: str) -> None:
    job.records.mkdir(parents=True)
    (job.records / "attempts.json").write_text(text)
    assert supervise(job, write(job)) == 0
    assert last(job).done
