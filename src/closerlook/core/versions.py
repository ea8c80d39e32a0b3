"""Versions of installed packages."""

from importlib.metadata import PackageNotFoundError, version


def installed_version(package: str) -> str | None:
    """The version of a package; None if it is not installed, as deepspeed or vllm may be."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
