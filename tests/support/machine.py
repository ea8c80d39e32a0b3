"""The system packages that some tests need, and what each is needed for: `python -m tests.support.machine` installs them.

Only `make test` installs. A test whose package is missing is skipped with the command to install it, or fails where CI is set.
"""

import argparse
import os
import shutil
import subprocess

import pytest

PROGRAMS = {
    "chromium": ["chromium"],
    "slurm-wlm": ["slurmctld", "slurmd", "sbatch"],
    "munge": ["munged"],
    "texlive-latex-recommended": ["pdflatex", "kpsewhich"],
}
"""By Debian package, the programs that tests run. The last one has booktabs; it takes 150 MB on disk."""


def installed(package: str) -> bool:
    """Whether all of the package that tests use is on this machine, whoever installed it."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    if not all(shutil.which(program, path=path) for program in PROGRAMS[package]):
        return False
    if package != "texlive-latex-recommended":
        return True
    return subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).returncode == 0


def require(*packages: str) -> None:
    """Skip the test where a package is missing; fail it in CI, whose machine has them all."""
    if missing := [package for package in packages if not installed(package)]:
        reason = f"not installed: {', '.join(missing)}; as root on Debian: apt-get install {' '.join(missing)}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def main() -> None:
    """Install what is missing, where apt-get can; say what is installed and which tests are skipped otherwise."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()  # --help, or a wrong flag, installs nothing
    missing = [package for package in PROGRAMS if not installed(package)]
    if not missing:
        print("system packages for tests: all installed")
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(
            f"missing, and only root on Debian can install them: {' '.join(missing)}; the tests that need them are skipped"
        )
        return
    print(f"installing system packages for tests: {' '.join(missing)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(
                f"apt-get {' '.join(command)}: {(done.stdout + done.stderr)[-500:]}\nthe tests that need them are skipped"
            )
            return


if __name__ == "__main__":
    main()
