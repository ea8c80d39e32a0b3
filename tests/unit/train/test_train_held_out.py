"""Instances that are not trained on: the loss on them against an independent one, and a training that does not notice them."""

import json

import numpy as np
import pytest
import torch
from tests.support.tiny_training import held_out, losses, make_rows

from closerlook.core.errors import CloserlookError, NonFiniteLoss
from closerlook.core.files import sha256
from closerlook.data.prompts import encode_prompt, encode_response
from closerlook.models.load import load_base, load_tokenizer, load_tuned

TEMPLATE = "Question : {instruction} Answer :"


def expected(model, tokenizer, rows, max_length=64):
    """transformers' own loss in float64, sequence by sequence: summed cross entropies, and how many tokens each is of."""
    sums, counts = [], []
    for row in rows:
        prompt = encode_prompt(tokenizer, TEMPLATE, row["instruction"])
        tokens = (prompt + encode_response(tokenizer, row["response"]))[:max_length]
        labels = torch.tensor([[-100] * len(prompt) + tokens[len(prompt) :]])
        counts.append(len(tokens) - len(prompt))
        with torch.no_grad():
            sums.append(model(input_ids=torch.tensor([tokens]), labels=labels).loss.item() * counts[-1])
    return np.array(sums), counts


@pytest.mark.parametrize("kind", ["full", "lora", "bias"])
def test_equals_an_independent_loss_in_float64(trained, base, kind):
    """Noise, dropout and cut instances included: none of them may reach the measurement but the cut."""
    settings = {"kind": kind, "neftune_alpha": 5.0, "lora_dropout": 0.3, "max_length": 20}
    measured = held_out(trained(rows=31, held_out=7, **settings))
    tokenizer, rows = load_tokenizer(base), make_rows(31)[-7:]
    models = {"base_loss": load_base(base, dtype=torch.float64)}
    models["loss"] = load_tuned(base, (trained("again", rows=31, held_out=7, **settings)) / "model").double()
    assert measured["instances"] == 7
    for name, each in (("base_loss", "base_losses"), ("loss", "losses")):
        sums, counts = expected(models[name].eval(), tokenizer, rows, 20)
        assert measured["tokens"] == counts
        assert measured["trained_tokens"] == sum(counts)
        assert measured[each] == pytest.approx(sums, rel=2e-5)
        assert measured[name] == pytest.approx(sums.sum() / sum(counts), rel=2e-5)
    assert measured["loss"] < measured["base_loss"]


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_the_training_is_that_of_the_rows_before_them(trained, kind):
    settings = {"kind": kind, "neftune_alpha": 5.0, "lora_dropout": 0.2}
    whole = trained("whole", rows=31, held_out=7, **settings)
    smaller = trained("smaller", rows=24, **settings)
    assert sha256(whole / "model") == sha256(smaller / "model")
    assert losses(whole) == losses(smaller)
    facts = [json.loads((cell / "manifest.json").read_text()) for cell in (whole, smaller)]
    assert facts[0]["data"]["used"] == facts[1]["data"]["used"] == 24
    assert "held_out" not in facts[1]


def test_the_same_instances_whatever_the_rate_and_the_micro_batch(trained):
    first, second = (
        held_out(trained(f"lr{rate}", rows=31, held_out=7, learning_rate=rate, micro_batch=size))
        for rate, size in ((1e-2, 8), (1e-4, 1))
    )
    assert first["tokens"] == second["tokens"]
    assert first["base_losses"] == second["base_losses"]
    assert first["losses"] != second["losses"]


def test_what_cannot_be_held_out_is_refused(trained):
    with pytest.raises(CloserlookError, match=r"held_out 24: found 24"):
        trained(rows=24, held_out=24)
    rows = make_rows(24)
    rows[-1]["instruction"] = "which " * 99
    with pytest.raises(CloserlookError, match=r"held-out.* 1 rows"):
        trained(rows=rows, held_out=1)


def test_a_last_step_that_goes_astray_is_a_failure(trained):
    """The loss of a step is that before it: only the held-out loss sees what the last one did."""
    with pytest.raises(NonFiniteLoss, match=r"held-out.* (nan|inf) ") as failure:
        trained(rows=9, held_out=1, epochs=1.0, batch_size=8, learning_rate=1e38, warmup_ratio=0.0, max_grad_norm=1e30)
    assert failure.value.reason == "non-finite loss"
