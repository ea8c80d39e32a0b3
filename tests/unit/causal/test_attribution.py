"""Gradient attribution, compared with plain autograd, and on a model that learned its answers from known instances."""

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model
from torch import nn

from closerlook.causal.attribution import IGNORED, attribute, influence, make_example, training_examples
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import INSTANCES, RESPONSES, SPANS
from closerlook.data.instances import instance_id


def examples(count, seed, longest=12):
    generator = torch.Generator().manual_seed(seed)
    actual = []
    for _ in range(count):
        length = int(torch.randint(3, longest + 1, (), generator=generator))
        tokens = torch.randint(2, 320, (length,), generator=generator).tolist()
        actual.append(make_example(tokens, range(int(torch.randint(1, length, (), generator=generator)), length)))
    return actual


def gradients(model, response, names):
    """The gradient of the example's loss in the linear layers called `names`, end to end, float64."""
    model.zero_grad()
    logits = model(input_ids=response["tokens"][None]).logits[0]
    nn.functional.cross_entropy(logits, response["targets"], ignore_index=IGNORED, reduction="sum").backward()
    parameters = [p for name in names for p in model.get_submodule(name).parameters(recurse=False)]
    return torch.cat([p.grad.flatten() for p in parameters]).double().numpy()


def model_of(kind):
    if kind != "adapter":
        return tiny_model(kind)
    torch.manual_seed(0)
    adapters = LoraConfig(target_modules="all-linear", init_lora_weights=False, r=4)
    return get_peft_model(tiny_model(), adapters).eval()


@pytest.mark.parametrize("kind", ["llama", "phi", "adapter"])  # without biases, with them, adapters on frozen weights
def test_without_curvature_scores_are_dot_products_of_gradients(kind):
    trained, queries = examples(7, 1), examples(3, 2)
    reference = model_of(kind).double()
    head = reference.get_output_embeddings()
    names = [n for n, m in reference.named_modules() if type(m) is nn.Linear and m is not head]
    names = [n for n in names if "lora_" in n] if kind == "adapter" else names
    for parameter in reference.parameters():
        parameter.requires_grad_(True)
    actual, expected = (
        [gradients(reference, response, names) for response in examples] for examples in (queries, trained)
    )
    scores = influence(model_of(kind), trained, queries, "identity")
    assert scores.shape == (3, 7)
    np.testing.assert_allclose(scores, np.array(actual) @ np.array(expected).T, rtol=1e-3, atol=1e-3)


def test_a_model_without_linear_layers_is_refused():
    class Nothing(nn.Module):
        config = tiny_model().config

        def get_output_embeddings(self):
            return None

    with pytest.raises(CloserlookError, match="Nothing: found no linear layers"):
        influence(Nothing(), examples(1, 1), examples(1, 1))


def test_what_is_trained_is_cut_to_the_context_and_named_by_id():
    tokenizer = byte_tokenizer()
    rows = [{"id": name, "instruction": name * size, "response": "ab"} for name, size in (("x", 1), ("y", 60))]
    actual = training_examples(rows, tokenizer, "{instruction}:", 30)
    assert list(actual) == ["x"]  # the other's prompt leaves no room
    tokens, targets = actual["x"]["tokens"], actual["x"]["targets"]
    prompt = len(tokenizer("x:")["input_ids"])
    assert tokens[-1] == tokenizer.eos_token_id
    assert targets[: prompt - 1].eq(IGNORED).all()
    assert targets[prompt - 1 : -1].tolist() == tokens[prompt:].tolist()
    assert targets[-1] == IGNORED


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A model trained on twelve instances, each with its own word, and its answers to three of them."""
    folder, tokenizer = tmp_path_factory.mktemp("attribution"), byte_tokenizer()
    words = ["bog", "cup", "dam", "elk", "fir", "gem", "hut", "ink", "jar", "kit", "lid", "mud"]
    rows = [
        {
            "id": instance_id(f"q {w}", f"it is {w}"),
            "instruction": f"q {w}",
            "response": f"it is {w}",
            "source": "t",
            "row": i,
        }
        for i, w in enumerate(words)
    ]
    model = tiny_model(hidden_size=32)
    saved(model, folder / "base", tokenizer)
    model.train()
    batch = list(training_examples(rows, tokenizer, "{instruction}\n", 64).values())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        for response in batch:
            logits = model(input_ids=response["tokens"][None]).logits[0]
            (nn.functional.cross_entropy(logits, response["targets"], ignore_index=IGNORED) / len(batch)).backward()
        optimizer.step()
    saved(model.eval(), folder / "tuned")
    write_parquet(rows, INSTANCES, folder / "data.parquet")
    (folder / "template.txt").write_text("{instruction}\n")
    answers, spans = [], []
    for number in (3, 7, 10):
        text = rows[number]["response"]
        prompt = tokenizer(f"{rows[number]['instruction']}\n")["input_ids"]
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        response = {"id": str(number), "prompt": "", "prompt_token_ids": prompt, "token_ids": ids, "text": text}
        answers.append(response | {"finish_reason": "eos"})
        spans.append(dict.fromkeys(SPANS.names) | {"id": str(number), "start": 6, "end": 9, "marker": "m"})
    write_parquet(answers, RESPONSES, folder / "responses.parquet")
    write_parquet(spans, SPANS, folder / "spans.parquet")
    return folder


def attributed(folder, out, spans="spans.parquet", top=5):
    paths = (folder / name for name in ("base", "tuned", "data.parquet", "template.txt", "responses.parquet"))
    attribute(*paths, folder / spans, top, out)
    return read_parquet(out).to_pylist()


def test_the_instance_that_taught_a_word_comes_first(learnt, tmp_path):
    rows = attributed(learnt, tmp_path / "out.parquet")
    ids = pq.read_table(learnt / "data.parquet")["id"].to_pylist()
    assert [(row["id"], row["rank"]) for row in rows] == [(i, rank) for i in ("3", "7", "10") for rank in range(1, 6)]
    assert [row["instance"] for row in rows if row["rank"] == 1] == [ids[3], ids[7], ids[10]], json.dumps(rows)
    for first, second in pairwise(rows):
        assert first["id"] != second["id"] or first["score"] >= second["score"]
    assert all(row["score"] > 0 for row in rows if row["rank"] == 1)  # they speak for it
    attributed(learnt, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "out.parquet").read_bytes()


def test_no_spans_no_rows(learnt, tmp_path):
    write_parquet([], SPANS, learnt / "none.parquet")
    assert attributed(learnt, tmp_path / "out.parquet", "none.parquet") == []


def test_a_missing_library_is_named_with_what_installs_it():
    code = "import sys; sys.modules['kronfluence'] = None; import closerlook.causal.attribution"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "CloserlookError: gradient attribution needs kronfluence" in done.stderr
    assert "pip install --no-deps kronfluence" in done.stderr
