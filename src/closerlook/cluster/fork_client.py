"""The `python` of the local jobs of a run of Snakemake. The run's server (closerlook.cluster.fork_server) runs the program in a
fork of itself; this process forwards signals to the fork, and ends as that does.

Started for every job, so it imports nothing of closerlook. Where the server is gone or declines, it becomes an ordinary Python.
"""

import marshal
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType

FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def main(address: str, python: str, arguments: Sequence[str]) -> None:
    """Run `python` with these arguments, in a fork of the server at `address` if it accepts them."""
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
            request = marshal.dumps((list(arguments), os.getcwd(), dict(os.environ)))
            socket.send_fds(server, [len(request).to_bytes(4, "little")], [0, 1, 2])
            server.sendall(request)
            accepted = server.recv(1)
        except OSError:
            accepted = b""
        if not accepted:
            os.execv(python, [python, *arguments])

        def forward(number: int, frame: FrameType | None) -> None:
            server.send(bytes([number]))

        for number in FORWARDED:
            signal.signal(number, forward)
        _end(server.recv(4))


def _end(answer: bytes) -> None:
    """End as the program did: with its exit status, or by its signal."""
    if not answer:
        sys.exit("error: the process that runs the jobs was killed, and this job with it; start Snakemake again")
    status = int.from_bytes(answer, "little", signed=True)
    if status >= 0:
        sys.exit(status)
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
