"""The fork server: its jobs are what an ordinary Python would have run, and nothing outlives what it belongs to."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SNAKEMAKE = """
import os, subprocess, sys
from pathlib import Path
from closerlook.cluster.fork_server import start
start(Path(sys.argv[1]))
for command in sys.stdin:
    subprocess.Popen(command, shell=True, executable="bash")
"""
"""Starts a server as a run of Snakemake does, then each command that it reads, without waiting for its end."""
TELL = """
import json, os, sys
print(json.dumps({"pid": os.getpid(), "parent": os.getppid(), "argv": sys.argv, "folder": os.getcwd(), "path": sys.path[0],
    "name": __name__, "variable": os.environ.get("CUDA_VISIBLE_DEVICES"), "executable": sys.executable,
    "known": "wave" in sys.modules, "threads": len(os.listdir("/proc/self/task"))}), flush=True)
"""
SLEEP = f"{TELL}\nimport time\ntime.sleep(300)\n"

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")


class Run:
    """A process that starts jobs, and what they print."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder, self.count = folder, 0
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")}
        threads["VECLIB_MAXIMUM_THREADS"] = "1"
        self.snakemake = subprocess.Popen(
            [sys.executable, "-c", SNAKEMAKE, str(folder / "programs")],
            stdin=subprocess.PIPE,
            cwd=folder,
            env=os.environ | threads | {"TMPDIR": str(folder / "tmp")} | (environment or {}),
            text=True,
        )

    def start(self, command: str) -> Path:
        """Start a command; its output comes into the file returned, the exit status into one beside it."""
        assert self.snakemake.stdin
        self.count += 1
        out = self.folder / f"out{self.count}"
        self.snakemake.stdin.write(f"{command} > {out} 2> {out}.err; echo $? > {out}.tmp; mv {out}.tmp {out}.status\n")
        self.snakemake.stdin.flush()
        return out

    def run(self, command: str) -> tuple[int, str, str]:
        """Run a command; its exit status, as a shell tells it, and both outputs."""
        out = self.start(command)
        return int(read(Path(f"{out}.status"))), out.read_text(), Path(f"{out}.err").read_text()

    def tell(self, command: str) -> dict[str, Any]:
        """Run a program that tells about itself."""
        status, output, errors = self.run(command)
        assert status == 0, errors
        return json.loads(output)

    def end(self) -> None:
        """Kill the process that starts jobs."""
        self.snakemake.kill()
        self.snakemake.wait()


def read(file: Path) -> str:
    """The content of a file, as soon as it has any."""
    until(lambda: file.exists() and file.stat().st_size)
    return file.read_text()


def until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    (tmp_path / "tmp").mkdir()
    (folder / "tell.py").write_text(TELL)
    (folder / "sleep.py").write_text(SLEEP)
    return folder


@pytest.fixture
def run(programs: Path) -> Iterator[Run]:
    run = Run(programs.parent)
    yield run
    run.end()


def test_a_job_is_what_python_would_have_run(run: Run) -> None:
    (run.folder / "else where").mkdir()
    command = "cd 'else where' && CUDA_VISIBLE_DEVICES=3 python ../programs/tell.py 'a b' --flag ''"
    job = run.tell(command)
    alone = run.tell(command.replace("python", sys.executable))
    assert job["parent"] != alone["parent"]
    for reported in (job, alone):
        del reported["pid"], reported["parent"]
    assert job == alone | {"path": str(run.folder / "programs")}


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("raise SystemExit", 0),
        ("raise SystemExit(7)", 7),
        ("raise SystemExit('told')", 1),
        ("raise ValueError('told')", 1),
        ("import os; os.kill(os.getpid(), 9)", 128 + 9),
        ("import os; os.kill(os.getpid(), 15)", 128 + 15),
        ("raise KeyboardInterrupt", 128 + 2),
        ("import threading; threading.Timer(0.2, print, ['late']).start()", 0),
        ("import atexit; atexit.register(print, 'last', end='')", 0),
    ],
)
def test_a_job_ends_as_python_would(run: Run, ending: str, status: int) -> None:
    (run.folder / "programs/end.py").write_text(f"print('begun', end=' ')\n{ending}\n")
    served, alone = run.run("python programs/end.py"), run.run(f"{sys.executable} programs/end.py")
    assert served[:2] == alone[:2]
    assert served[0] == status
    assert ("told" in served[2]) == ("told" in alone[2])


def test_what_a_job_imported_the_next_finds_imported(run: Run) -> None:
    (run.folder / "programs/learn.py").write_text(f"{TELL}\nimport wave\n")
    first = run.tell("python programs/learn.py")
    assert not first["known"]
    until(lambda: run.tell("python programs/tell.py")["known"])


def test_only_the_workflows_programs_in_its_environment_are_served(run: Run) -> None:
    server = run.tell("python programs/tell.py")["parent"]
    assert run.tell("python programs/tell.py")["parent"] == server
    assert run.tell("LD_LIBRARY_PATH=/x python programs/tell.py")["parent"] != server
    assert run.tell("OMP_NUM_THREADS=2 python programs/tell.py")["parent"] != server
    (run.folder / "other.py").write_text(TELL)
    assert run.tell("python other.py")["parent"] != server
    assert run.run("python -c 'print(5)'")[:2] == (0, "5\n")
    assert run.run("python programs/absent.py")[0] == 2


@pytest.fixture
def run_with_library(programs: Path) -> Iterator[Callable[..., Run]]:
    """Start a run whose programs can import a module `library` with this text; learn.py tells about itself, then does so."""
    lib = programs.parent / "lib"
    lib.mkdir()
    path = {"PYTHONPATH": f"{lib}:{os.environ.get('PYTHONPATH', '')}"}
    with contextlib.ExitStack() as runs:

        def start(text: str, environment: dict[str, str] | None = None) -> Run:
            (lib / "library.py").write_text(text)
            (programs / "learn.py").write_text(TELL.replace("wave", "library") + "import library\n")
            run = Run(programs.parent, path | (environment or {}))
            runs.callback(run.end)
            return run

        yield start


def test_a_program_that_a_job_starts_is_served_whatever_libraries_have_set(
    run_with_library: Callable[..., Run],
) -> None:
    run = run_with_library("import os; os.environ |= {'SET': '1', 'CHANGED': '2'}", {"CHANGED": "1"})
    server = run.tell("python programs/tell.py")["parent"]
    until(lambda: run.tell("python programs/learn.py")["known"])
    (run.folder / "programs/starts.py").write_text("import os; os.system('python programs/tell.py')\n")
    assert run.tell("python programs/starts.py")["parent"] == server
    assert run.tell("CHANGED=3 python programs/tell.py")["parent"] != server


def test_a_library_that_starts_a_thread_ends_the_service(run_with_library: Callable[..., Run]) -> None:
    run = run_with_library(
        "import threading, time; threading.Thread(target=time.sleep, args=(300,), daemon=True).start()"
    )
    server = run.tell("python programs/tell.py")["parent"]
    assert run.tell("python programs/learn.py")["parent"] == server
    until(lambda: run.tell("python programs/tell.py")["parent"] != server)


@pytest.mark.parametrize("sent", [b"", b"\1", b"\4\0\0\0", b"\4\0\0\0abcd", b"\1\0\0\0N", b"\2\0\0\0)\0", b"\xff\xff"])
def test_what_is_no_client_does_no_harm(run: Run, sent: bytes) -> None:
    server = run.tell("python programs/tell.py")["parent"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(next((run.folder / "tmp").glob("closerlook-*/socket"))))
        client.sendall(sent)
    assert run.tell("python programs/tell.py")["parent"] == server


def test_a_client_and_its_job_killed_at_once(run: Run) -> None:
    for _ in range(20):
        out = run.start("(echo $BASHPID > client; exec python programs/sleep.py)")
        job = json.loads(read(out))
        client = int((run.folder / "client").read_text())
        for pid in (job["pid"], client):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        read(Path(f"{out}.status"))
    assert run.tell("python programs/tell.py")["parent"] == job["parent"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_signals_reach_the_job(run: Run, number: signal.Signals) -> None:
    (run.folder / "programs/catch.py").write_text(
        f"import os, signal, time\nsignal.signal({number}, lambda *_: os._exit(5))\nprint(os.getppid(), flush=True)\n"
        "time.sleep(300)\n"
    )
    out = run.start("echo $BASHPID > client; exec python programs/catch.py")
    read(out)
    os.kill(int((run.folder / "client").read_text()), number)
    client = int((run.folder / "client").read_text())
    until(lambda: not is_alive(client))


@pytest.mark.parametrize("killed", ["client", "server", "snakemake"])
def test_no_job_outlives_what_it_belongs_to(run: Run, killed: str) -> None:
    nested = "import subprocess; subprocess.run(['python', 'programs/sleep.py'])"
    (run.folder / "programs/nested.py").write_text(f"{TELL}\n{nested}\n")
    out = run.start("(echo $BASHPID > client; exec python programs/nested.py)")
    until(lambda: out.exists() and out.read_text().count("\n") == 2)
    jobs = [json.loads(line) for line in out.read_text().splitlines()]
    client, server = int((run.folder / "client").read_text()), jobs[0]["parent"]
    assert jobs[1]["parent"] == server
    os.kill({"client": client, "server": server, "snakemake": run.snakemake.pid}[killed], signal.SIGKILL)
    run.snakemake.poll()
    until(lambda: not any(is_alive(job["pid"]) for job in jobs))
    until(lambda: not is_alive(client))
    if killed == "snakemake":
        until(lambda: not is_alive(server))
        assert not list((run.folder / "tmp").glob("closerlook-*"))
    else:
        assert read(Path(f"{out}.status")) != "0\n"
        assert (run.tell("python programs/tell.py")["parent"] == server) == (killed == "client")
