"""shift.parquet end to end, on tiny random models: against a float64 brute force without a cache, and by its invariances."""

import logging
import re
import runpy
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.support import REPOSITORY
from tests.support.responses import put_inputs
from tests.support.tiny_models import ARCHITECTURES, byte_tokenizer, save_adapter_and_merged, saved, tiny_model

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import RESPONSES, SHIFT
from closerlook.generate.responses import generate
from closerlook.models import pass_limits
from closerlook.shift import analysis
from closerlook.shift.analysis import shift

TEXTS = ["Yes. The cat said no!\n\nAnd the dog? 你好。", "", " 🙂🙂 ok", "x", "the cat " * 9 + ". Then the end"]


def write_responses(path, tokenizer, texts=TEXTS, schema=RESPONSES, **changes):
    rows = []
    for number, text in enumerate(texts):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        prompt = [0, *tokenizer(f"say {'this ' * number}:")["input_ids"]]
        row = {"id": f"r{number}", "prompt": "", "prompt_token_ids": prompt, "token_ids": ids, "text": text}
        rows.append(row | {"finish_reason": "eos"} | changes.get(f"r{number}", {}))
    table = pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema=schema)
    pq.write_table(table, path)
    return rows


@pytest.fixture
def folders(tmp_path):
    """Base and tuned model (every weight moved a little), a tokenizer, and responses."""
    return make(tmp_path, "llama")


def make(tmp_path, architecture, strength=0.05):
    tokenizer = byte_tokenizer()
    base = tiny_model(architecture)
    saved(base, tmp_path / "base", tokenizer)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.add_(torch.randn_like(parameter) * strength)
    saved(base, tmp_path / "tuned")
    rows = write_responses(tmp_path / "responses.parquet", tokenizer)
    return tmp_path, rows


def run(folder, **changes):
    paths = {"base": folder / "base", "tuned": folder / "tuned", "responses": folder / "responses.parquet"} | changes
    out = folder / "out.parquet"
    shift(**paths, out=out)
    table = pq.read_table(out)
    assert table.schema.equals(SHIFT)
    out.unlink()
    return table.to_pylist()


def brute_force(model, prompt, response):
    """float64 log-probabilities at each response token: one eager pass per token, no cache, everything in double."""
    model.set_attn_implementation("eager")
    rows = []
    for t in range(len(response)):
        with torch.no_grad():
            logits = model.double()(torch.tensor([prompt + response[:t]]), use_cache=False).logits[0, -1]
        rows.append(torch.log_softmax(logits, -1).numpy())
    return np.array(rows)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_against_a_float64_brute_force_without_cache(tmp_path, architecture):
    folder, rows = make(tmp_path, architecture)
    base, tuned = (type(tiny_model(architecture)).from_pretrained(folder / name).eval() for name in ("base", "tuned"))
    for row, measured in zip(rows, run(folder), strict=True):
        assert (measured["id"], measured["token_ids"]) == (row["id"], row["token_ids"])
        if not row["token_ids"]:
            continue
        log_b, log_t = (brute_force(m, row["prompt_token_ids"], row["token_ids"]) for m in (base, tuned))
        p_b, p_t = np.exp(log_b), np.exp(log_t)
        top = log_t.argmax(1)
        position = np.arange(len(top))
        np.testing.assert_allclose(measured["kl_base_tuned"], (p_b * (log_b - log_t)).sum(1), atol=1e-4)
        np.testing.assert_allclose(measured["kl_tuned_base"], (p_t * (log_t - log_b)).sum(1), atol=1e-4)
        np.testing.assert_allclose(measured["base_prob"], p_b[position, top], atol=1e-4)
        np.testing.assert_allclose(measured["tuned_prob"], p_t[position, top], atol=1e-4)
        np.testing.assert_allclose(p_t[position, measured["tuned_token"]], p_t[position, top], atol=1e-4)
        chosen = log_b[position, top][:, None]
        # ranks are equal except where the base nearly ties: float32 logits of about 10 are good to 1e-5
        low, high = 1 + (log_b > chosen + 1e-4).sum(1), 1 + (log_b > chosen - 1e-4).sum(1) - 1
        ranks = np.array(measured["base_rank"])
        assert ((ranks >= low) & (ranks <= np.maximum(low, high))).all()
        np.testing.assert_allclose(measured["base_top5_probs"], -np.sort(-p_b, axis=1)[:, :5], atol=1e-4)
        classes = ["unshifted" if r == 1 else "marginal" if r <= 3 else "shifted" for r in measured["base_rank"]]
        assert measured["class"] == classes
    assert len({c for row in run(folder) for c in row["class"]}) == 3, "the test needs all three classes"


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_greedy_responses_are_the_tuned_model_s_own_choice(tmp_path, temperature):
    put_inputs(tmp_path)
    saved(tiny_model(seed=1), tmp_path / "tuned")
    settings = GenerateSettings(max_new_tokens=20, temperature=temperature)
    inputs = (tmp_path / "base", tmp_path / "tuned", tmp_path / "evalset.parquet", "Q: {instruction}")
    generate(*inputs, settings, tmp_path / "responses.parquet", 3, "float32")
    others = [
        token != own for row in run(tmp_path) for token, own in zip(row["token_ids"], row["tuned_token"], strict=True)
    ]
    assert len(others) > 50
    assert any(others) == bool(temperature)


def test_every_list_is_as_long_as_the_response(folders):
    folder, rows = folders
    for row, measured in zip(rows, run(folder), strict=True):
        for name in set(SHIFT.names) - {"id"}:
            assert len(measured[name]) == len(row["token_ids"]), name


def test_a_model_compared_with_itself_has_not_moved(folders):
    folder, _ = folders
    for row in run(folder, tuned=folder / "base"):
        assert all(kl == 0 for kl in row["kl_base_tuned"] + row["kl_tuned_base"])
        assert set(row["base_rank"]) <= {1}
        assert row["base_prob"] == row["tuned_prob"]
        assert set(row["aligntds_base_rank"]) <= {0}


def close(measured, expected):
    for actual, reference in zip(measured, expected, strict=True):
        for name in actual:
            if name in ("id", "class", "base_top5_ids") or not actual[name]:
                assert actual[name] == reference[name], name
            else:  # 1e-5: another order of summation in float32
                np.testing.assert_allclose(actual[name], reference[name], atol=1e-5, rtol=1e-4, err_msg=name)


def test_packing_and_chunks_do_not_matter(folders, monkeypatch):
    folder, _ = folders
    whole = run(folder)
    alone = run(folder, batch_tokens=1)  # one response at a time
    close(alone, whole)
    monkeypatch.setitem(pass_limits.LOGITS, "cpu", 3 * 320)  # three positions at a time
    close(run(folder), whole)
    monkeypatch.setattr(analysis, "PART", 2)
    close(run(folder), whole)


def test_an_adapter_equals_its_merged_weights(folders):
    folder, _ = folders
    save_adapter_and_merged(folder)
    apart = run(folder, tuned=folder / "adapter")
    close(apart, run(folder, tuned=folder / "merged"))
    assert max(kl for row in apart for kl in row["kl_base_tuned"]) > 0.01, "the adapter must do something"
    assert not {p.name for p in folder.iterdir()} & {".out.parquet.parts"}


def test_biases_trained_along_with_an_adapter_are_not_taken_for_the_base(tmp_path):
    folder, _ = make(tmp_path, "phi")
    adapted = get_peft_model(
        tiny_model("phi"), LoraConfig(r=2, bias="all", target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.5)
    adapted.save_pretrained(folder / "adapter")
    saved(adapted.merge_and_unload(), folder / "merged")
    close(run(folder, tuned=folder / "adapter"), run(folder, tuned=folder / "merged"))


def test_only_the_public_columns_are_needed(folders):
    folder, _ = folders
    whole = run(folder)
    names = ["id", "prompt_token_ids", "token_ids", "text", "finish_reason"]
    few = pa.schema([RESPONSES.field(name) for name in names])
    write_responses(folder / "few.parquet", byte_tokenizer(), schema=few)
    assert run(folder, responses=folder / "few.parquet") == whole


def test_sentences_and_token_starts(folders):
    folder, rows = folders
    measured = run(folder)[0]
    pieces = [
        rows[0]["text"][s:e] for s, e in zip(measured["token_start"], [*measured["token_start"][1:], None], strict=True)
    ]
    assert "".join(pieces) == rows[0]["text"]
    by_sentence = {}
    for piece, sentence in zip(pieces, measured["sentence"], strict=True):
        by_sentence[sentence] = by_sentence.get(sentence, "") + piece
    assert [text.strip() for text in by_sentence.values()] == ["Yes.", "The cat said no!", "And the dog?", "你好。"]


def test_without_a_tokenizer_a_response_is_one_sentence(folders, caplog):
    folder, _ = folders
    whole = run(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "base" / file).unlink()
    with caplog.at_level(logging.WARNING):
        measured = run(folder)
    assert "no tokenizer" in caplog.text
    for row, reference in zip(measured, whole, strict=True):
        assert row["kl_base_tuned"] == reference["kl_base_tuned"]
        assert set(row["token_start"]) <= {-1}
        assert set(row["sentence"]) <= {0}
        assert row["sentence_token"] == list(range(len(row["token_ids"])))


def test_text_that_is_not_the_decoded_tokens_is_said(folders, caplog):
    folder, _ = folders
    write_responses(folder / "responses.parquet", byte_tokenizer(), r3={"text": "y"})
    with caplog.at_level(logging.WARNING):
        run(folder)
    assert re.search(r"1 of 5 responses .*token_ids \(r3", caplog.text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_token_ids": []}, "response r1: found a prompt without tokens"),
        ({"token_ids": [3, 320]}, "response r1: found token 320, expected one of the models' vocabulary of 320"),
        (
            {"token_ids": [5] * 256},
            r"response r1: found \d+ \+ 256 tokens, expected at most the models' context of 256",
        ),
    ],
)
def test_responses_that_do_not_fit(folders, change, message):
    folder, _ = folders
    write_responses(folder / "responses.parquet", byte_tokenizer(), r1=change)
    with pytest.raises(CloserlookError, match=message):
        run(folder)


def test_logits_that_are_not_finite_name_the_response(folders):
    folder, _ = folders
    model = tiny_model()
    with torch.no_grad():
        model.model.embed_tokens.weight[rare := 5] = float("inf")
    saved(model, folder / "tuned")
    write_responses(folder / "responses.parquet", byte_tokenizer(), r3={"token_ids": [7, rare, 8]})
    with pytest.raises(CloserlookError, match=r"response r3: .*not finite"):
        run(folder)


def test_other_vocabulary_or_tokenizer_is_refused(folders):
    folder, _ = folders
    saved(tiny_model(vocab_size=321), folder / "wider")
    with pytest.raises(CloserlookError, match=r"base .* 320 .*wider 321"):
        run(folder, tuned=folder / "wider")
    byte_tokenizer("other words make other merges " * 5).save_pretrained(folder / "tuned")
    with pytest.raises(CloserlookError, match=r"tokenizers differ: token \d+ "):
        run(folder)


def test_no_responses(folders):
    folder, _ = folders
    write_responses(folder / "responses.parquet", byte_tokenizer(), texts=[])
    assert run(folder) == []
    write_responses(folder / "responses.parquet", byte_tokenizer(), texts=["", ""])
    assert [row["token_ids"] for row in run(folder)] == [[], []]


def test_a_missing_column_is_named(folders):
    folder, _ = folders
    pq.write_table(pa.table({"id": ["a"]}), folder / "responses.parquet")
    with pytest.raises(CloserlookError, match="prompt_token_ids"):
        run(folder)


def test_the_script(folders, monkeypatch, capsys):
    folder, _ = folders
    script = str(REPOSITORY / "workflow/scripts/shift.py")
    arguments = [f"--{name}={folder / name}" for name in ("base", "tuned")]
    arguments += [f"--responses={folder / 'responses.parquet'}", f"--out={folder / 'new/shift.parquet'}"]
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(script, run_name="__main__")
    assert pq.read_table(folder / "new/shift.parquet").to_pylist() == run(folder)
    monkeypatch.setattr(sys, "argv", [script, *arguments, f"--tuned={folder / 'nowhere'}"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(script, run_name="__main__")
    assert "error: " in (message := capsys.readouterr().err.splitlines()[-1])
    assert "nowhere" in message


def test_bfloat16_bodies_still_give_float32_distributions(folders):
    folder, _ = folders
    exact = run(folder)
    rough = run(folder, precision="bfloat16")
    means = [np.mean([kl for row in rows for kl in row["kl_base_tuned"]]) for rows in (exact, rough)]
    assert means[0] != means[1]
    assert means[1] == pytest.approx(means[0], rel=0.5)  # 8 bits of mantissa in every layer of a tiny model
    for row in run(folder, tuned=folder / "base", precision="bfloat16"):
        assert all(kl == 0 for kl in row["kl_base_tuned"])
