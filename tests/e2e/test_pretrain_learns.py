"""The miniature's base model learns a small world."""

import json

import pytest
from tests.support.miniature_programs import MAKE, PRETRAIN, command

from closerlook.miniature.tokenizer import make_tokenizer
from closerlook.models.load import load_base, load_tokenizer

pytestmark = pytest.mark.e2e


def test_a_small_world_is_learned_and_the_folder_can_be_loaded(tmp_path):
    world = ["--known", 4, "--taught", 2, "--unseen", 2, "--quiet", 1, "--documents", 600, "--new-share", 0.3]
    sizes = ["--brief", 50, "--verbose", 20, "--domain", 10, "--mixture", 40, "--zipf", 40, "--questions", 10]
    assert command(MAKE, "--out", tmp_path / "mini", *world, *sizes).returncode == 0
    done = command(PRETRAIN, "--miniature", tmp_path / "mini", "--out", tmp_path / "model", "--steps", 400, "--rows", 4)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "model/pretrain.json").read_text())
    assert scores["cloze_accuracy"] >= 0.9
    assert f"{scores['cloze_accuracy']:.1%}" in done.stdout
    assert len((tmp_path / "model/pretrain_log.jsonl").read_text().splitlines()) == 400
    model, tokenizer = load_base(tmp_path / "model"), load_tokenizer(tmp_path / "model")
    assert model.num_parameters() == scores["parameters"]
    assert tokenizer("Mara Tolk keeps a cat.")["input_ids"] == make_tokenizer()("Mara Tolk keeps a cat.")["input_ids"]
    assert (tmp_path / "model/model.safetensors").is_file()
