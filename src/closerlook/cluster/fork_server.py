"""Local jobs run in forks of one process that has imported their libraries: only the first job of a kind waits for imports.

A run of Snakemake starts the server and puts a folder with a `python` of its own first on PATH (closerlook.cluster.fork_client).
The server forks for each job and learns: what a job has imported, it imports as well. It ends with Snakemake. A job of several
threads, of another environment or of another program runs in an ordinary Python, as all do without a server.

A fork takes over memory, but no threads and no CUDA. So the server computes nothing, and stops serving as soon as an imported
library has started a thread or opened a GPU.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import marshal
import os
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from closerlook.cluster.fork_environment import OWN, replace_environment, shared
from closerlook.core.scripts import allocator_defaults

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
_SERVERS: list[subprocess.Popen] = []  # a server ends when nothing here refers to its standard input any more


def start(programs: Path) -> None:
    """Serve the local jobs that this process starts from now on, if they run a program in the folder `programs`.

    Does nothing where the system has no pidfd (before Linux 5.3, or not Linux).
    """
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return
    folder = Path(tempfile.mkdtemp(prefix="closerlook-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address, client = str(folder / "socket"), Path(__file__).with_name("fork_client.py")
    words = [sys.executable, "-I", "-S", str(client), address, sys.executable]
    (folder / "bin").mkdir()
    (folder / "bin/python").write_text(f'#!/bin/bash\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    (folder / "bin/python").chmod(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(address)
        except OSError:  # the path is too long
            return
        listener.listen(128)
        os.environ["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(listener.fileno()), str(folder), str(programs.resolve())],
            stdin=subprocess.PIPE,  # never written to: it closes when this process ends, however it ends
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C reaches the clients, which forward it
            env=os.environ | OWN | allocator_defaults(),
        )
        _SERVERS.append(server)


@dataclass(frozen=True)
class Request:
    """What a client asks for: a program with its arguments, where, with which environment."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]

    @property
    def program(self) -> Path:
        """The file to run; no such file if the arguments begin with a flag."""
        return Path(self.folder, self.arguments[0] if self.arguments else "").resolve()


@dataclass(frozen=True)
class Job:
    """A running fork, which leads a process group of its own."""

    pid: int
    handle: int
    """A pidfd: unlike the number, it never means another process."""
    client: socket.socket


class Server:
    """Forks for one request after the other."""

    def __init__(self, listener: socket.socket, folder: Path, programs: Path) -> None:
        self.listener, self.folder, self.programs = listener, folder, programs
        self.environment, self.inherited = shared(dict(os.environ)), set(os.environ)
        self.events = selectors.DefaultSelector()
        self.jobs: list[Job] = []
        self.lessons: list[str] = []
        """Names of modules to import."""

    def serve(self) -> Request | None:
        """Serve until Snakemake has ended and no job runs. Returns None then, and in each fork the request that it is to run."""
        self.events.register(self.listener, selectors.EVENT_READ, self._accept)
        self.events.register(0, selectors.EVENT_READ, self._stop)
        while self.events.get_map():
            for key, _ in self.events.select(0 if self.lessons else None):
                known = key in self.events.get_map().values()  # an event before this one may have ended its job
                if known and (request := key.data()):
                    return request
            if self.lessons:  # one at a time, so that nobody waits for all
                self._learn(self.lessons.pop(0))
        return None

    def _stop(self) -> None:
        """Snakemake has ended: accept no more jobs, and stop those that run."""
        self.events.unregister(0)
        self._refuse()
        self.lessons.clear()
        for job in self.jobs:
            signal.pidfd_send_signal(job.handle, signal.SIGTERM)

    def _refuse(self) -> None:
        """Leave the jobs that come to ordinary Pythons."""
        if self.listener.fileno() >= 0:
            self.events.unregister(self.listener)
            self.listener.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self) -> Request | None:
        """Fork for a request. Returns it in the fork."""
        client, _ = self.listener.accept()
        try:
            request, files = _receive(client)
        except (OSError, EOFError, ValueError, TypeError):  # the client is gone, or is no client
            client.close()
            return None
        pid = None
        if self._serves(request):
            gc.freeze()  # the collector of a fork would copy every page that it looks at
            with contextlib.suppress(OSError):  # there is no memory for a fork
                pid = os.fork()
        if pid == 0:
            client.close()
            self._become(request, files)
            return request
        for file in files:
            os.close(file)
        if pid is None:
            client.close()
            return None
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # here and in the fork: whichever comes first
        job = Job(pid, os.pidfd_open(pid), client)
        self.jobs.append(job)
        self.events.register(job.handle, selectors.EVENT_READ, lambda: self._report(job))
        self.events.register(client, selectors.EVENT_READ, lambda: self._forward(job))
        with contextlib.suppress(OSError):
            client.sendall(b"+")
        return None

    def _serves(self, request: Request) -> bool:
        if request.program.parent != self.programs or not request.program.is_file():
            return False
        wanted, started, now = shared(request.environment), self.environment, shared(os.environ)
        # Libraries set variables when they are imported. A program that a fork starts has those, too.
        return all(wanted.get(name) in (started.get(name), now.get(name)) for name in wanted.keys() | started.keys())

    def _forward(self, job: Job) -> None:
        """Forward the client's signals; if it was killed, kill its job."""
        try:
            numbers = job.client.recv(64)
        except OSError:
            numbers = b""
        for number in numbers:
            signal.pidfd_send_signal(job.handle, number)
        if not numbers:
            self.events.unregister(job.client)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)

    def _report(self, job: Job) -> None:
        """Tell the client how its job ended."""
        _, status = os.waitpid(job.pid, 0)
        with contextlib.suppress(OSError):
            job.client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "little", signed=True))
        self.events.unregister(job.handle)
        if job.client in self.events.get_map():
            self.events.unregister(job.client)
        os.close(job.handle)
        job.client.close()
        self.jobs.remove(job)
        lesson = self.folder / str(job.pid)
        if lesson.exists():
            if self.listener.fileno() >= 0:
                self.lessons += lesson.read_text(encoding="utf-8").splitlines()
            lesson.unlink()

    def _learn(self, module: str) -> None:
        """Import what a job has imported."""
        with contextlib.suppress(Exception):
            importlib.import_module(module)
        if not _can_fork():
            self.lessons.clear()
            self._refuse()

    def _become(self, request: Request, files: list[int]) -> None:
        """Make this fork what the client would have been: its files, folder, environment, and nothing of the server."""
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # no job outlives the server
        prctl(PR_SET_NAME, request.program.stem.encode())  # for ps and top
        os.setpgid(0, 0)
        for descriptor, file in enumerate(files):
            os.dup2(file, descriptor)
            os.close(file)
        self.events.close()
        self.listener.close()
        for job in self.jobs:
            os.close(job.handle)
            job.client.close()
        os.chdir(request.folder)
        replace_environment(self.inherited, request.environment)
        tempfile.tempdir = None
        sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
        lesson, known = self.folder / str(os.getpid()), set(sys.modules)
        atexit.register(lambda: _write_lesson(lesson, known))


def _receive(client: socket.socket) -> tuple[Request, list[int]]:
    """A client's request and its three standard files. Raises OSError, EOFError, ValueError or TypeError for anything else."""
    client.settimeout(5.0)
    length, files, *_ = socket.recv_fds(client, 4, 3)
    size, parts = int.from_bytes(length, "little"), b""
    while len(parts) < size:
        part = client.recv(size - len(parts))
        if not part:
            raise ConnectionError("a request ended in the middle")
        parts += part
    return Request(*marshal.loads(parts)), files


def _can_fork() -> bool:
    """Whether this process has one thread and no GPU."""
    files = (os.path.realpath(f"/proc/self/fd/{descriptor}") for descriptor in os.listdir("/proc/self/fd"))
    return len(os.listdir("/proc/self/task")) == 1 and not any(file.startswith("/dev/nvidia") for file in files)


def _write_lesson(file: Path, known: set[str]) -> None:
    """Write the names of the modules that this fork has imported, in their order."""
    with contextlib.suppress(OSError):
        file.write_text("\n".join(name for name in sys.modules if name not in known), encoding="utf-8")


def _run(request: Request) -> None:
    """Run a program as Python would, and end this process without taking all modules apart, which takes most of a second."""
    sys.argv = request.arguments
    sys.path.insert(0, str(request.program.parent))
    status = 0
    try:
        runpy.run_path(request.arguments[0], run_name="__main__")
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        status = end.code
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    server = Server(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))
    if fork_request := server.serve():
        _run(fork_request)
