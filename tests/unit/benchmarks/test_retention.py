"""Retention of tiny models, compared with transformers' own loss and a KL by brute force in float64; zeros that must be exact."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.support import REPOSITORY
from tests.support.tiny_models import ARCHITECTURES, byte_tokenizer, save_adapter_and_merged, saved, tiny_model
from tokenizers import processors
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from closerlook.benchmarks import retention
from closerlook.benchmarks.retention import RetentionMeter, cut_pieces
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import RETENTION, TEXT
from closerlook.models import pass_limits

TEXTS = ["the cat said no.", "x", "And the dog? 你好。🙂", "they were there " * 12, "é" * 400]
SUMS = ("base_nats", "nats", "kl_base_tuned")


def beginning(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer, which begins each text with a token of its own, as Llama's does."""
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return tokenizer


def write_text(folder: Path, texts: list[str]) -> Path:
    rows = [{"id": f"p{number}", "text": text} for number, text in enumerate(texts)]
    write_parquet(rows, TEXT, folder / "text.parquet")
    return folder / "text.parquet"


def tuned_of(architecture: str) -> torch.nn.Module:
    model = tiny_model(architecture)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, the same weights again, full weights that moved, an adapter, what it makes of the base, and a fresh adapter."""
    folder = tmp_path_factory.mktemp("models")
    saved(tiny_model(), folder / "base", beginning(byte_tokenizer()))
    saved(tiny_model(), folder / "same")
    saved(tuned_of("llama"), folder / "full")
    save_adapter_and_merged(folder)
    fresh = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    fresh.save_pretrained(folder / "fresh")
    return folder


def measure(base: Path, tuned: Path, text: Path, max_tokens: int = 512, **how: Any) -> list[dict[str, Any]]:
    out = text.with_name("out.parquet")
    RetentionMeter(base, tuned, **how).measure(text, out, max_tokens)
    table = read_parquet(out)
    assert table.schema.equals(RETENTION)
    return table.to_pylist()


def own_loss(folder: Path, ids: list[int]) -> float:
    """Transformers' own loss of a text that a float64 model reads alone, times the number of tokens that it averages over."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").double().eval()
    tokens = torch.tensor([ids])
    with torch.no_grad():
        loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss  # it shifts the labels itself
    return loss.item() * (len(ids) - 1)


def brute_kl(base: Path, tuned: Path, ids: list[int]) -> float:
    logs = []
    for folder in (base, tuned):
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").double().eval()
        with torch.no_grad():
            logs.append(torch.log_softmax(model(torch.tensor([ids]), use_cache=False).logits[0, :-1], -1))
    return (logs[0].exp() * (logs[0] - logs[1])).sum().item()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("begins", [True, False])
def test_against_transformers_reading_each_text_alone(architecture: str, begins: bool, tmp_path: Path) -> None:
    tokenizer = beginning(byte_tokenizer()) if begins else byte_tokenizer()
    base = saved(tiny_model(architecture), tmp_path / "base", tokenizer)
    tuned = saved(tuned_of(architecture), tmp_path / "tuned")
    rows = measure(base, tuned, write_text(tmp_path, TEXTS))
    assert [row["id"] for row in rows] == [f"p{number}" for number in range(len(TEXTS))]
    for row, text in zip(rows, TEXTS, strict=True):
        ids = [0] * begins + tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = ids[:256]  # of the tiny model's context
        assert row["tokens"] == len(ids) - 1
        if len(ids) == 1:
            assert [row[name] for name in SUMS] == [0, 0, 0]
            continue
        # Sums of up to 255 float32 log-probabilities of about 1 to 20, each good to 1e-5.
        assert row["base_nats"] == pytest.approx(own_loss(base, ids), rel=1e-5, abs=1e-4)
        assert row["nats"] == pytest.approx(own_loss(tuned, ids), rel=1e-5, abs=1e-4)
        assert row["kl_base_tuned"] == pytest.approx(brute_kl(base, tuned, ids), rel=1e-4, abs=1e-3)
        assert row["kl_base_tuned"] > 0.01


@pytest.mark.parametrize("tuned", ["base", "same", "fresh"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_that_did_not_change_differs_by_exactly_nothing(
    tuned: str, precision: str, models: Path, tmp_path: Path
) -> None:
    for row in measure(models / "base", models / tuned, write_text(tmp_path, TEXTS), precision=precision):
        assert row["nats"] == row["base_nats"] > 0
        assert row["kl_base_tuned"] == 0


def test_every_way_of_tuning_is_compared_with_the_same_base(models: Path, tmp_path: Path) -> None:
    text = write_text(tmp_path, TEXTS)
    of_base = {
        tuned: [row["base_nats"] for row in measure(models / "base", models / tuned, text)]
        for tuned in ("base", "full", "adapter", "fresh")
    }
    assert of_base["full"] == of_base["adapter"] == of_base["fresh"] == of_base["base"]


def test_an_adapter_is_measured_as_the_weights_that_it_makes(models: Path, tmp_path: Path) -> None:
    text = write_text(tmp_path, TEXTS)
    apart, merged = (measure(models / "base", models / tuned, text) for tuned in ("adapter", "merged"))
    for one, other in zip(apart, merged, strict=True):
        for name in SUMS:
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-3)  # float32 in another order
        assert one["kl_base_tuned"] > 0.01


def test_packing_chunks_and_parts_do_not_matter(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_text(tmp_path, TEXTS)
    whole = measure(models / "base", models / "full", text)
    alone = measure(models / "base", models / "full", text, batch_tokens=1)
    monkeypatch.setitem(pass_limits.LOGITS, "cpu", 3 * 320)  # three positions at a time
    monkeypatch.setattr(retention, "PART", 2)
    chunked = measure(models / "base", models / "full", text)
    for rows in (alone, chunked):
        for row, expected in zip(rows, whole, strict=True):
            assert row == expected | {name: pytest.approx(expected[name], rel=1e-5, abs=1e-4) for name in SUMS}


@pytest.mark.parametrize("begins", [True, False])
def test_long_pieces_are_cut_and_their_bytes_are_those_that_are_scored(begins: bool) -> None:
    tokenizer = beginning(byte_tokenizer()) if begins else byte_tokenizer()
    texts = ["the cat and the dog", "xxxxx", "🙂🙂", "é"]  # 🙂 is four tokens of one byte each, é two
    pieces = cut_pieces(tokenizer, ["a", "b", "c", "d"], texts, max_tokens=5, context=256)
    assert [piece.cut for piece in pieces] == [False, False, True, False]
    assert [len(piece.tokens) for piece in pieces] == [begins + 5, begins + 5, begins + 5, begins + 2]
    first = 0 if begins else len("the")  # of the first token, which is then context
    sizes = [len(texts[0]) - first, 5 if begins else 4, 4, 2]
    assert [piece.size for piece in pieces] == sizes
    assert "".join(tokenizer.decode(pieces[0].tokens[1:])) == texts[0][first:]
    short = cut_pieces(tokenizer, ["a"], ["x" * 50], max_tokens=100, context=20)
    assert (len(short[0].tokens), short[0].cut, short[0].size) == (20, True, 19)


def test_a_cut_piece_scores_as_its_beginning_does(models: Path, tmp_path: Path) -> None:
    """What is left out changes nothing before it."""
    cut = measure(models / "base", models / "full", write_text(tmp_path, ["x" * 40]), max_tokens=7)
    whole = measure(models / "base", models / "full", write_text(tmp_path, ["x" * 7]))
    assert cut == [whole[0] | {"cut": True}]


def test_a_piece_of_one_token_has_nothing_to_score(tmp_path: Path) -> None:
    base = saved(tiny_model(), tmp_path / "base", byte_tokenizer())
    for texts in (["x"], ["x", "the cat"]):
        row = measure(base, base, write_text(tmp_path, texts))[0]
        assert row == {"id": "p0", "tokens": 0, "bytes": 0, "cut": False} | dict.fromkeys(SUMS, 0.0)


def command(folder: Path, models: Path, *more: str) -> list[str]:
    script = str(REPOSITORY / "workflow/scripts/retention.py")
    return [
        script,
        f"--base={models / 'base'}",
        f"--tuned={models / 'full'}",
        f"--text={folder / 'text.parquet'}",
        *more,
    ]


DIE = """
import os, runpy, signal, sys
from closerlook.core import resumable
write, parts = resumable.write_parquet, []
def write_then_die(*arguments):
    write(*arguments)
    parts.append(1)
    if len(parts) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
resumable.write_parquet = write_then_die
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_killed_and_started_again_it_writes_the_same_bytes(models: Path, tmp_path: Path) -> None:
    write_text(tmp_path, [f"{number} {TEXTS[number % 4]}" for number in range(200)])
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    subprocess.run([sys.executable, *command(tmp_path, models, f"--out={whole}")], check=True, capture_output=True)
    again = command(tmp_path, models, f"--out={out}")
    killed = subprocess.run([sys.executable, "-c", DIE, *again], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    (parts,) = (tmp_path / ".out.parquet.parts").iterdir()
    assert len(list(parts.iterdir())) == 2
    resumed = subprocess.run([sys.executable, *again], check=True, capture_output=True, text=True)
    assert "64/200" in resumed.stderr
    assert out.read_bytes() == whole.read_bytes()
    assert not parts.parent.exists()


def test_the_program_reads_plain_files_and_several_at_once(models: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat\nsaid no.\n\n\nthe dog said é\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "they were there " * 9}) + "\n")
    program = [sys.executable, *command(tmp_path, models)[:-1], "--text", "a.txt", "b.jsonl"]
    done = subprocess.run(
        [*program, "--out", "a.parquet", "b.parquet", "--max-tokens", "50", "4"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    plain, lines = (read_parquet(tmp_path / f"{name}.parquet").to_pylist() for name in "ab")
    assert [(row["id"], row["bytes"], row["cut"]) for row in plain] == [("0", 16, False), ("1", 15, False)]
    assert [(row["tokens"], row["cut"]) for row in lines] == [(4, True)]
    for wrong in (["--out", "a.parquet"], ["--out", "a", "b", "--max-tokens", "1", "2", "3"]):
        done = subprocess.run([*program, *wrong], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2
        assert "2 --text" in done.stderr


def test_what_cannot_be_compared_is_refused(models: Path, tmp_path: Path) -> None:
    text = write_text(tmp_path, TEXTS)
    with pytest.raises(CloserlookError, match="no tokenizer"):
        RetentionMeter(models / "full", models / "full")
    wider = saved(tiny_model(vocab_size=321), tmp_path / "wider")
    with pytest.raises(CloserlookError, match=r"base .* 320 .*wider 321"):
        RetentionMeter(models / "base", wider)
    other = saved(tiny_model(), tmp_path / "other", byte_tokenizer("other words make other merges " * 5))
    with pytest.raises(CloserlookError, match=r"tokenizers differ: token \d+ "):
        RetentionMeter(models / "base", other)
    narrow = saved(tiny_model(vocab_size=200), tmp_path / "narrow", byte_tokenizer())
    with pytest.raises(CloserlookError, match=r"text\.parquet: piece p\d+: found token \d+ .*vocabulary of 200"):
        measure(narrow, narrow, text)


def test_logits_that_are_not_finite_name_the_piece(models: Path, tmp_path: Path) -> None:
    model = tiny_model()
    rare = byte_tokenizer()("Q", add_special_tokens=False)["input_ids"][0]
    with torch.no_grad():
        model.model.embed_tokens.weight[rare] = float("inf")
    broken = saved(model, tmp_path / "broken")
    with pytest.raises(CloserlookError, match=r"piece p1: .*not finite"):
        measure(models / "base", broken, write_text(tmp_path, ["the cat", "xQx", "dog"]))
    assert not (tmp_path / "out.parquet").exists()
