"""`snakemake --lint` without one of its rules: here each rule file begins with its own few helper functions, so that a reader of
the file has them in sight; Snakemake would have them in another file.
"""

import re
import subprocess
import sys

IGNORED = ("Mixed rules and functions in same snakefile.",)


def main() -> int:
    """Print what is left of the lints; 1 where something is."""
    command = [sys.executable, "-m", "snakemake", "--lint"]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    text = output.stdout + output.stderr
    if output.returncode and "Lints for" not in text:  # it did not come so far
        print(text)
        return output.returncode
    left = []
    for section in re.split(r"(?m)^(?=Lints for )", text)[1:]:
        heading, *lints = re.split(r"(?m)^ {4}\* ", section)
        left += [f"{heading.strip()}\n    * {lint.rstrip()}" for lint in lints if not lint.startswith(IGNORED)]
    print("\n".join(left) or "snakemake --lint: nothing to change")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
