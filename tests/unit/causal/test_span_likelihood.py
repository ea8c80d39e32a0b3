"""Likelihood of spans, compared with a loop over single tokens in float64."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model

from closerlook.causal import likelihood
from closerlook.causal.likelihood import span_likelihood
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import RESPONSES, SPANS
from closerlook.models.load import load_base, load_tuned
from closerlook.models.token_text import token_starts
from closerlook.spans.inputs import token_range

TEXTS = ["the cat said that they were there.", "é👩‍👩‍👧 and שלום", "x", "dog dog dog"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Models `base`, `sft` and `lft` (an adapter), with responses and spans."""
    folder, tokenizer = tmp_path_factory.mktemp("likelihood"), byte_tokenizer()
    saved(tiny_model(seed=0), folder / "base", tokenizer)
    saved(tiny_model(seed=1), folder / "sft")
    torch.manual_seed(0)
    adapted = get_peft_model(tiny_model(seed=0), LoraConfig(target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(folder / "lft")
    rows, spans = [], []
    for number, text in enumerate(TEXTS):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        prompt = [0, *tokenizer(f"say {number}:", add_special_tokens=False)["input_ids"]]
        rows.append(
            {
                "id": str(number),
                "prompt": "",
                "prompt_token_ids": prompt,
                "token_ids": ids,
                "text": text,
                "finish_reason": "eos",
            }
        )
        for start, end in {(0, 1), (len(text) // 2, len(text)), (0, len(text))}:
            if number != 3 and start < end:
                spans.append(
                    dict.fromkeys(SPANS.names) | {"id": str(number), "start": start, "end": end, "marker": "m"}
                )
    write_parquet(rows, RESPONSES, folder / "responses.parquet")
    write_parquet(spans, SPANS, folder / "spans.parquet")
    return folder


def naive(model, row):
    """Log-probability of each response token, from a forward pass per token in float64."""
    model, values = model.double(), []
    for token in range(len(row["token_ids"])):
        context = torch.tensor([row["prompt_token_ids"] + row["token_ids"][:token]])
        with torch.no_grad():
            logits = model(input_ids=context).logits[0, -1]
        values.append(torch.log_softmax(logits, -1)[row["token_ids"][token]].item())
    return np.array(values)


def test_sums_are_those_of_a_naive_loop(place):
    out = place / "out.parquet"
    models = {"sft": place / "sft", "lft": place / "lft"}
    span_likelihood(place / "base", models, place / "responses.parquet", place / "spans.parquet", out)
    loaded = {"base": load_base(place / "base")} | {n: load_tuned(place / "base", f) for n, f in models.items()}
    rows = {row["id"]: row for row in read_parquet(place / "responses.parquet").to_pylist()}
    values = {(name, id_): naive(model, row) for name, model in loaded.items() for id_, row in rows.items()}
    actual, tokenizer = read_parquet(out).to_pylist(), byte_tokenizer()
    assert {row["id"] for row in actual} == {"0", "1", "2"}  # the other response has no span
    spans = read_parquet(place / "spans.parquet").to_pylist()
    assert len(actual) == 3 * (len(spans) + 3)
    for row in actual:
        starts, text = token_starts(tokenizer, rows[row["id"]]["token_ids"]), rows[row["id"]]["text"]
        inside = {
            (s["start"], s["end"]): set(token_range(starts, len(text), s["start"], s["end"]))
            for s in spans
            if s["id"] == row["id"]
        }
        rest = set(range(len(starts))) - set().union(*inside.values())
        places = sorted(rest if row["start"] is None else inside[row["start"], row["end"]])
        assert row["tokens"] == len(places)
        assert row["log_prob"] == pytest.approx(values[row["model"], row["id"]][places].sum(), abs=1e-3)
    assert (
        len({row["log_prob"] for row in actual if row["id"] == "0" and row["start"] == 0}) == 6
    )  # three models do differ


def test_the_same_bytes_again(place, tmp_path):
    for name in ("one", "two"):
        span_likelihood(
            place / "base",
            {"sft": place / "sft"},
            place / "responses.parquet",
            place / "spans.parquet",
            tmp_path / name,
        )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_no_spans_no_rows(place, tmp_path):
    write_parquet([], SPANS, tmp_path / "s.parquet")
    span_likelihood(place / "base", {}, place / "responses.parquet", tmp_path / "s.parquet", tmp_path / "out.parquet")
    assert read_parquet(tmp_path / "out.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "another text, as long as it takes"}, "its text is not its decoded token_ids"),
        ({"prompt_token_ids": []}, "expected a prompt"),
        ({"prompt_token_ids": [9999]}, "below 320"),
    ],
)
def test_foreign_responses_are_named(place, tmp_path, change, message):
    rows = read_parquet(place / "responses.parquet").to_pylist()
    write_parquet([row | change for row in rows], RESPONSES, tmp_path / "r.parquet")
    spans = [dict.fromkeys(SPANS.names) | {"id": "0", "start": 0, "end": 1, "marker": "m"}]
    write_parquet(spans, SPANS, tmp_path / "s.parquet")
    with pytest.raises(CloserlookError, match=f"response 0: .*{message}"):
        span_likelihood(place / "base", {}, tmp_path / "r.parquet", tmp_path / "s.parquet", tmp_path / "out.parquet")


def test_a_diverged_model_is_named(place, tmp_path):
    model = tiny_model()
    model.lm_head.weight.data.fill_(float("nan"))
    saved(model, tmp_path / "nan", byte_tokenizer())
    with pytest.raises(CloserlookError, match="logits of sft are not finite"):
        span_likelihood(
            place / "base",
            {"sft": tmp_path / "nan"},
            place / "responses.parquet",
            place / "spans.parquet",
            tmp_path / "o.parquet",
        )


def test_what_was_killed_goes_on_where_it_stopped(place, tmp_path, monkeypatch):
    models = {"sft": place / "sft", "lft": place / "lft"}
    files = (place / "responses.parquet", place / "spans.parquet")
    span_likelihood(place / "base", models, *files, tmp_path / "whole.parquet")
    computed, real = [], likelihood.log_probs

    def killed_at_the_third(network, responses, limits):
        computed.append(len(responses))
        if len(computed) == 3:
            raise KeyboardInterrupt
        return real(network, responses, limits)

    monkeypatch.setattr(likelihood, "log_probs", killed_at_the_third)
    out = tmp_path / "again.parquet"
    with pytest.raises(KeyboardInterrupt):
        span_likelihood(place / "base", models, *files, out)
    assert not out.exists()
    span_likelihood(place / "base", models, *files, out)
    assert len(computed) == 4  # of three models two were there
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_no_model_takes_the_bases_name(place, tmp_path):
    with pytest.raises(CloserlookError, match="found the name base"):
        span_likelihood(
            place / "base",
            {"base": place / "sft"},
            place / "responses.parquet",
            place / "spans.parquet",
            tmp_path / "o",
        )
