"""Programs that answer and end."""

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said; `code` is None where it is not there or did not end in time."""

    code: int | None
    output: str
    error: str

    @property
    def reason(self) -> str:
        """The last thing that it complained of, in one line."""
        lines = [line.strip() for line in (self.error or self.output).splitlines() if line.strip()]
        return lines[-1] if lines else f"it ended with {self.code} and said nothing"


def ask(*command: str, timeout: float = 30) -> Answer:
    """Run a command that ends by itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except FileNotFoundError:
        return Answer(None, "", f"{command[0]}: command not found")
    except OSError as error:
        return Answer(None, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Answer(None, "", f"{command[0]} did not answer in {timeout:g} seconds")
    return Answer(done.returncode, done.stdout, done.stderr)
