import json
import math

import pytest
import torch
from tests.support import REPOSITORY
from tests.support.miniature_programs import MAKE, PRETRAIN, command
from torch.nn.functional import cross_entropy

from closerlook.config.benchmarks import MINIATURE_TASKS
from closerlook.config.settings import MiniatureSettings, PretrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.data.prompts import read_template
from closerlook.miniature.corpus import draw_corpus
from closerlook.miniature.pretrain import (
    batches,
    check,
    cloze_accuracy,
    few_shot_accuracy,
    learning_rate,
    new_model,
    pretrain,
)
from closerlook.miniature.tokenizer import make_tokenizer
from closerlook.miniature.world import draw_world

TOKENIZER = make_tokenizer()
SMALL = PretrainSettings(hidden_size=32, layers=1, heads=2, intermediate_size=32, steps=3, rows=2, row_length=16)


def test_the_model_has_a_bias_in_each_linear_layer_and_one_embedding():
    model = new_model(PretrainSettings(), TOKENIZER)
    linear = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    assert linear
    assert all(layer.bias is not None for layer in linear)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert 500_000 < model.num_parameters() < 1_500_000
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (0, 1, 2)


def test_batches_are_the_documents_end_to_end_each_once_per_pass():
    documents = [f"{name} keeps a cat." for name in ("Mara Tolk", "Ilse Lund", "Vera Dray", "Selma Moss")]
    settings = SMALL.model_copy(update={"rows": 1, "row_length": 31})
    stream = batches(documents, TOKENIZER, settings)
    first = TOKENIZER.decode(next(stream)[0])
    assert sorted(first.removesuffix("</s>").removeprefix("<s>").split("</s><s>")) == sorted(documents)
    batch = next(batches(documents, TOKENIZER, SMALL))
    assert batch.shape == (2, 17)
    assert batch.dtype == torch.int64


def test_the_learning_rate_rises_to_its_peak_and_falls_to_a_tenth():
    settings = PretrainSettings(steps=100, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == 1.0
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.001)


def test_the_first_loss_is_that_of_the_fresh_model_and_the_run_is_repeatable():
    documents = draw_corpus(draw_world(MiniatureSettings()), MiniatureSettings(documents=50))
    model, log = pretrain(documents, TOKENIZER, SMALL)
    again, log_again = pretrain(documents, TOKENIZER, SMALL)
    batch = next(batches(documents, TOKENIZER, SMALL))
    fresh = new_model(SMALL, TOKENIZER)
    expected = cross_entropy(fresh(batch[:, :-1]).logits.flatten(0, 1), batch[:, 1:].flatten()).item()
    assert log[0]["loss"] == pytest.approx(expected, abs=1e-3)
    assert log[0]["loss"] == pytest.approx(math.log(len(TOKENIZER)), rel=0.05)  # a fresh model knows nothing
    assert log == log_again
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert not model.training


class Knows(torch.nn.Module):
    """A model whose most likely next token is the one that follows in the given texts."""

    def __init__(self, texts):
        super().__init__()
        self.next = {}
        for text in texts:
            ids = TOKENIZER(text)["input_ids"]
            for i in range(1, len(ids)):
                self.next[tuple(ids[:i])] = ids[i]

    def forward(self, ids, **_):
        rows = torch.zeros(1, 1, len(TOKENIZER))
        rows[0, 0, self.next.get(tuple(ids[0].tolist()), 1)] = 1.0
        return type("Output", (), {"logits": rows})


def test_cloze_accuracy_counts_every_wording_of_every_known_fact():
    from closerlook.miniature.language import ATTRIBUTES

    world = draw_world(MiniatureSettings(known=4, taught=1, unseen=1, quiet=1))
    texts = [
        f"{fact.entity} {wording.format(value=fact.value)}"
        for entity in world.entities
        if entity.known
        for fact in entity.facts
        for wording in ATTRIBUTES[fact.attribute].predicates
    ]
    assert cloze_accuracy(Knows(texts), TOKENIZER, world) == 1.0
    assert cloze_accuracy(Knows(texts[::2]), TOKENIZER, world) == pytest.approx(0.5, abs=0.01)
    assert cloze_accuracy(Knows([]), TOKENIZER, world) == 0.0


def test_a_fresh_model_knows_nothing_and_is_refused_with_what_to_change():
    world = draw_world(MiniatureSettings(known=4, taught=1, unseen=1, quiet=1))
    model = new_model(SMALL, TOKENIZER).eval()
    score = cloze_accuracy(model, TOKENIZER, world)
    assert score < 0.2
    template = read_template(REPOSITORY / "config/prompts/miniature_icl.txt")
    assert few_shot_accuracy(model, TOKENIZER, world, template) < 0.2
    with pytest.raises(CloserlookError, match=r"expected at least 90%; raise steps \(3\)"):
        check(score, SMALL)
    check(0.9, SMALL)


@pytest.mark.parametrize("script", [MAKE, PRETRAIN])
def test_help_comes_without_loading_anything_heavy(script):
    code = f"import sys, runpy; sys.argv = ['x', '--help']; runpy.run_path({str(script)!r}, run_name='__main__')"
    done = command("-X", "importtime", "-c", code)
    assert done.returncode == 0
    assert "--seed" in done.stdout
    assert "torch" not in done.stderr


def test_make_miniature_writes_the_same_bytes_twice_and_other_sizes_leave_world_and_corpus_alone(tmp_path):
    small = ["--documents", 200, "--brief", 50, "--verbose", 20, "--domain", 20, "--mixture", 60, "--zipf", 50]
    for name, extra in [("a", []), ("b", []), ("c", ["--brief", 40, "--questions", 100])]:
        done = command(MAKE, "--out", tmp_path / name, *small, *extra)
        assert done.returncode == 0, done.stderr
    files = sorted(p.relative_to(tmp_path / "a").as_posix() for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files == [
        "corpus.txt",
        *(f"datasets/{n}.jsonl" for n in ("brief", "domain", "mixture", "planted", "verbose", "zipf")),
        "planted.jsonl",
        "questions.jsonl",
        "tasks.yaml",
        *sorted(f"tasks/{task.name}.jsonl" for task in MINIATURE_TASKS),
        "texts/corpus.jsonl",
        "world.json",
    ]
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
    for same in ("corpus.txt", "world.json", "datasets/mixture.jsonl"):
        assert sha256(tmp_path / "a" / same) == sha256(tmp_path / "c" / same)
    rows = [json.loads(line) for line in (tmp_path / "a/questions.jsonl").read_text().splitlines()]
    assert {*rows[0]} == {"id", "instruction", "reference", "task_types", "topics"}


def test_a_setting_out_of_range_is_named(tmp_path):
    done = command(MAKE, "--out", tmp_path / "a", "--known", 2)
    assert done.returncode == 2
    assert "--known" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "a").exists()


def test_a_model_that_knows_too_little_leaves_no_folder(tmp_path):
    assert command(MAKE, "--out", tmp_path / "mini", "--documents", 50).returncode == 0
    small = ["--steps", 1, "--rows", 1, "--hidden-size", 32, "--layers", 1]
    done = command(PRETRAIN, "--miniature", tmp_path / "mini", "--out", tmp_path / "model", *small)
    assert done.returncode == 2
    assert "expected at least 90%" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["mini"]
