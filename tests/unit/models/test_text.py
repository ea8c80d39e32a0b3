"""Offsets of tokens in their text, for tokenizers that split characters into bytes, and for arbitrary ids."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.tiny_models import byte_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from closerlook.models import token_text as module
from closerlook.models.token_text import decode, token_starts

HOSTILE = st.text() | st.text(alphabet="ab .\n\t🙂é\u0301你\ufffd\u200d👩🏽\x00<|>▁Ġ", max_size=40)


def byte_fallback_tokenizer():
    """A tokenizer like SentencePiece's (Llama 2, Gemma): ▁ for spaces, bytes for unknown characters."""
    vocabulary = {"<unk>": 0, "</s>": 1} | {f"<0x{byte:02X}>": 2 + byte for byte in range(256)}
    for piece in ["▁", "a", "b", "▁a", "▁ab", "ab", ".", "▁the", "c"]:
        vocabulary[piece] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")


TOKENIZERS = {"bytes": byte_tokenizer(), "fallback": byte_fallback_tokenizer()}


def check(tokenizer, ids):
    text, starts = decode(tokenizer, ids), token_starts(tokenizer, ids)
    assert len(starts) == len(ids)
    assert all(0 <= start <= len(text) for start in starts)
    assert all(a <= b for a, b in pairwise(starts))
    return text, starts


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=HOSTILE)
@settings(max_examples=150, deadline=None)
def test_encoded_text(name, text):
    tokenizer = TOKENIZERS[name]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    decoded, starts = check(tokenizer, ids)
    for index, start in enumerate(starts):
        before = decode(tokenizer, ids[:index])
        if "\ufffd" not in before:  # the token begins a character: its offset is the length of all before it
            assert decoded[:start] == before


@pytest.mark.parametrize("name", TOKENIZERS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_ids(name, data):
    tokenizer = TOKENIZERS[name]
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=40))
    check(tokenizer, ids)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_known_offsets(name):
    tokenizer = TOKENIZERS[name]
    text = "a🙂 b你."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    decoded, starts = check(tokenizer, ids)
    assert decoded == text
    assert starts.count(1) == 4, "the four bytes of the emoji all begin where it does"
    assert starts[-1] == len(text) - 1


def test_special_tokens_have_no_width():
    tokenizer = byte_tokenizer()
    a, end, b = tokenizer.convert_tokens_to_ids(["a", "</s>", "b"])
    assert token_starts(tokenizer, [end, a, end, b, end]) == [0, 0, 1, 1, 2]


def test_stray_bytes_are_replacement_characters():
    tokenizer = byte_fallback_tokenizer()
    ids = tokenizer.convert_tokens_to_ids(["a", "<0xE4>", "<0xBD>", "<0xA0>", "<0x80>", "b"])
    text, starts = check(tokenizer, ids)
    assert (text[0], text[-1]) == ("a", "b")
    assert starts[0] == 0
    assert starts[-1] == len(text) - 1


def test_nothing():
    assert token_starts(byte_tokenizer(), []) == []


def test_long_responses_take_linear_time(monkeypatch):
    tokenizer = byte_tokenizer()
    ids = tokenizer("the cat said 🙂 " * 400, add_special_tokens=False)["input_ids"]
    decoded_tokens = 0
    original = module.decode

    def counting(tokenizer, ids):
        nonlocal decoded_tokens
        decoded_tokens += len(ids)
        return original(tokenizer, ids)

    monkeypatch.setattr(module, "decode", counting)
    token_starts(tokenizer, ids)
    assert decoded_tokens < 20 * len(ids)


def test_gemma(gemma_tokenizer):
    for text in ["Hello  world.\n\n\n你好 👩🏽‍🚀 <b>", " leading", "\ttab\n", "ẞ𓀀 x"]:
        ids = gemma_tokenizer(text, add_special_tokens=False)["input_ids"]
        decoded, starts = check(gemma_tokenizer, ids)
        assert decoded == text
        pieces = [decoded[a:b] for a, b in pairwise([*starts, len(decoded)])]
        assert "".join(pieces) == text


@pytest.fixture(scope="module")
def gemma_tokenizer():
    found = list((REPOSITORY / "results").glob("*/models/gemma-3-270m/tokenizer.json"))
    if not found:
        pytest.skip("no Gemma tokenizer here: make the small preset's model first")
    return AutoTokenizer.from_pretrained(found[0].parent)
