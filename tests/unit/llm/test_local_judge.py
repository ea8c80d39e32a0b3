"""A local chat model (tiny, random): it uses the chat template, decodes greedily, and resumes."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.support import REPOSITORY
from tests.support.pretended_vllm import PretendedVllm
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model

from closerlook.core.errors import CloserlookError
from closerlook.llm.cache import Cache
from closerlook.llm.client import Request
from closerlook.llm.local import LocalModel

TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
PROMPTS = ["rate the cat", "rate", "rate the dog and say that they were there", "</s> is text", "rate 🙂"]


@pytest.fixture
def folder(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return saved(tiny_model("llama"), tmp_path / "tiny", tokenizer)


def ask(folder, prompts, cache, **options):
    options = {"max_tokens": 12, "batch_size": 3} | options
    return LocalModel(folder, cache=cache, **options).complete([Request(prompt) for prompt in prompts])


def test_answers_are_those_of_transformers_generate(folder, tmp_path):
    tokenizer, model = byte_tokenizer(), tiny_model("llama")
    with Cache(tmp_path / "c.sqlite") as cache:
        answers = ask(folder, PROMPTS, cache)
        for prompt, answer in zip(PROMPTS, answers, strict=True):
            if "</s>" in prompt:
                continue  # transformers would take it for the end of sequence
            parts = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("<s>user: ", prompt, "\nassistant:")]
            ids = [token for part in parts for token in part]
            one = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
            out = model.generate(**one, max_new_tokens=12, do_sample=False, pad_token_id=319)[0, len(ids) :]
            new = [token for token in out.tolist() if token != 1]
            assert answer.text == tokenizer.decode(new)
            assert (answer.input_tokens, answer.output_tokens) == (len(ids), len(new))
        assert answers[0].model == f"tiny {LocalModel(folder, 12, 3, cache).version}"


def test_special_tokens_in_a_prompt_are_text(folder, tmp_path):
    with Cache(tmp_path / "c.sqlite") as cache:
        ids = LocalModel(folder, 12, 3, cache)._encode("</s><s>")
    assert ids.count(0) == 1, "only the template's own"
    assert 1 not in ids


def test_the_batch_does_not_matter_and_nothing_is_asked_twice(folder, tmp_path, monkeypatch):
    with Cache(tmp_path / "a.sqlite") as cache:
        one = ask(folder, PROMPTS, cache, batch_size=1)
        monkeypatch.setattr(LocalModel, "_engine", lambda self: pytest.fail("asked again"))
        assert ask(folder, PROMPTS[::-1], cache) == one[::-1]
    monkeypatch.undo()
    with Cache(tmp_path / "b.sqlite") as cache:
        assert ask(folder, PROMPTS, cache, batch_size=5) == one


def test_stopped_in_the_middle(folder, tmp_path, monkeypatch):
    """Each answer is kept as soon as it ends."""
    whole = LocalModel._engine
    asked = []

    def stops_after_two(self):
        engine = whole(self)

        def respond(responses):
            asked.append(len(responses))
            for number, response in enumerate(engine(responses)):
                if number == 2 and len(asked) == 1:
                    raise KeyboardInterrupt
                yield response

        return respond

    with Cache(tmp_path / "c.sqlite") as cache:
        monkeypatch.setattr(LocalModel, "_engine", stops_after_two)
        with pytest.raises(KeyboardInterrupt):
            ask(folder, PROMPTS, cache)
        ask(folder, PROMPTS, cache)
    assert asked == [5, 3]


def test_a_prompt_that_does_not_fit_is_an_error_of_its_own(folder, tmp_path):
    with Cache(tmp_path / "c.sqlite") as cache:
        short, long = ask(folder, ["rate", "rate " * 300], cache)
    assert short.asked
    assert "do not fit into the model's context" in long.error


def test_a_base_model_is_no_judge(tmp_path):
    folder = saved(tiny_model("llama"), tmp_path / "base", byte_tokenizer())
    with Cache(tmp_path / "c.sqlite") as cache, pytest.raises(CloserlookError, match="no chat template"):
        ask(folder, PROMPTS, cache)


def test_vllm_is_asked_for_all_at_once(folder, tmp_path, monkeypatch):
    vllm = PretendedVllm(lambda prompt: [100, 101, 1])
    vllm.install(monkeypatch)
    with Cache(tmp_path / "c.sqlite") as cache:
        answers = ask(folder, PROMPTS, cache)
    assert {answer.text for answer in answers} == {byte_tokenizer().decode([100, 101])}
    assert {answer.output_tokens for answer in answers} == {2}
    (started,) = vllm.started
    assert (started.model, started.dtype) == (str(folder), "bfloat16")
    assert len(vllm.requests) == len(PROMPTS)
    assert {(params.temperature, params.max_tokens) for params, _ in vllm.requests.values()} == {(0.0, 12)}


def test_as_a_program(folder, tmp_path):
    pq.write_table(pa.table({"id": ["a"], "instruction": ["say"]}), tmp_path / "e.parquet")
    pq.write_table(pa.table({"id": ["a"], "text": ["the cat"]}), tmp_path / "r.parquet")
    (tmp_path / "p.txt").write_text("rate ${candidate} to ${instruction}")
    command = [
        sys.executable,
        REPOSITORY / "workflow/scripts/judge.py",
        "--judge",
        "local",
        "--model",
        folder,
        "--max-tokens",
        "8",
    ]
    command += [
        "--responses",
        tmp_path / "r.parquet",
        "--evalset",
        tmp_path / "e.parquet",
        "--out",
        tmp_path / "v.parquet",
    ]
    command += ["--prompt-file", tmp_path / "p.txt", "--cache", tmp_path / "c.sqlite"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    found = pq.read_table(tmp_path / "v.parquet").to_pylist()
    assert {row["null_cause"] for row in found} == {"unparsable"}, "a random model says nothing that is a score"
    assert found[0]["judge"].startswith("tiny@tiny ")
