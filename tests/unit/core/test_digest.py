"""The digest of a folder: read from its record while that fits, and never wrong."""

import json
import os
import shutil
from pathlib import Path

import pytest

from closerlook.core.files import DIGEST_RECORD, record_digest, sha256


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "part").mkdir(parents=True)
    (folder / "weights").write_bytes(b"0123456789")
    (folder / "part/é").write_bytes(b"")
    return folder


def replace_silently(file: Path, content: bytes) -> None:
    """Change a file, but neither its size nor its time: only who reads it notices."""
    state = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_the_record_is_read_instead_of_the_files(model: Path) -> None:
    digest = sha256(model)
    record_digest(model)
    assert sha256(model) == digest
    replace_silently(model / "weights", b"9876543210")
    assert sha256(model) == digest
    (model / DIGEST_RECORD).unlink()
    assert sha256(model) != digest


def test_it_moves_with_the_folder_and_what_snakemake_adds_does_not_count(model: Path, tmp_path: Path) -> None:
    record_digest(model)
    digest = sha256(model)
    replace_silently(model / "weights", b"9876543210")
    model.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/.snakemake_timestamp").touch()
    assert sha256(tmp_path / "elsewhere") == digest


@pytest.mark.parametrize("change", ["replaced", "touched", "added", "removed", "renamed", "copied", "link"])
def test_a_changed_folder_is_read_again(model: Path, tmp_path: Path, change: str) -> None:
    if change == "link":  # as in the hub's cache
        (model / "weights").rename(tmp_path / "blob")
        (model / "weights").symlink_to(tmp_path / "blob")
    record_digest(model)
    before = sha256(model)
    weights = model / "weights"
    if change in ("replaced", "touched"):
        replace_silently(weights, b"9876543210" if change == "replaced" else b"0123456789")
        os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1))
    elif change == "added":
        (model / "more").touch()
    elif change == "removed":
        (model / "part/é").unlink()
    elif change == "renamed":
        weights.rename(model / "other")
    elif change == "link":
        (tmp_path / "blob").write_bytes(b"98765")
    else:
        shutil.copytree(model, tmp_path / "copy", copy_function=shutil.copyfile)
        model = tmp_path / "copy"
        os.utime(model / "weights", ns=(0, 1))
    after = sha256(model)
    assert (after == before) == (change in ("touched", "copied"))
    (model / DIGEST_RECORD).unlink()
    assert sha256(model) == after


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"files": null, "sha256": "x"}', '{"sha256": "x"}', "\0", "é" * 9]
)
def test_a_broken_record_is_none(model: Path, text: str) -> None:
    digest = sha256(model)
    (model / DIGEST_RECORD).write_text(text)
    assert sha256(model) == digest
    record_digest(model)
    assert json.loads((model / DIGEST_RECORD).read_text())["sha256"] == digest
