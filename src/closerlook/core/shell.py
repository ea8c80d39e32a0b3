"""Run a short external command with a timeout."""

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class CommandResult:
    """The exit code and output of a command. `code` is None if the command was not found or timed out."""

    code: int | None
    output: str
    error: str

    @property
    def failure(self) -> str:
        """The last line of its error output, or else of its output."""
        lines = [line.strip() for line in (self.error or self.output).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}, without any output"


def run_command(*command: str, timeout: float = 30) -> CommandResult:
    """Run a command. timeout: in seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except FileNotFoundError:
        return CommandResult(None, "", f"{command[0]}: command not found")
    except OSError as error:
        return CommandResult(None, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return CommandResult(None, "", f"{command[0]} did not end within {timeout:g} seconds")
    return CommandResult(done.returncode, done.stdout, done.stderr)
