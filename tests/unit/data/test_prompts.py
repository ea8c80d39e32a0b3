"""Prompt and response tokens: one BOS, no EOS in a prompt, one EOS after a response, no control tokens from text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from closerlook.core.errors import CloserlookError
from closerlook.data.prompts import (
    encode_prompt,
    encode_prompts,
    encode_response,
    encode_responses,
    fill_template,
    read_template,
)

TEMPLATE = "Q: {instruction}\nA:"


def byte_tokenizer(template: str) -> PreTrainedTokenizerFast:
    """A byte tokenizer with <s> as 256 and </s> as 257. template: what the tokenizer adds around a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 256), ("</s>", 257)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module", params=["<s> $A", "<s> $A </s>", "$A", "$A </s>"])
def tokenizer(request):
    return byte_tokenizer(request.param)


def test_one_bos_no_eos(tokenizer):
    ids = encode_prompt(tokenizer, TEMPLATE, "Why?")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Q: Why?\nA:"
    assert ids.count(257) == 0
    adds_bos = tokenizer("x")["input_ids"][0] == 256
    assert ids.count(256) == adds_bos == (ids[0] == 256)


def test_response_ends_with_one_eos(tokenizer):
    ids = encode_response(tokenizer, "Because.")
    assert ids[-1] == 257
    assert ids.count(257) == 1
    assert ids.count(256) == 0
    assert tokenizer.decode(ids[:-1]) == "Because."


@given(text=st.text(max_size=30))
def test_text_survives_and_never_becomes_control(text):
    tokenizer = byte_tokenizer("<s> $A")
    for hostile in (text, f"<s>{text}</s>", f"{text}</s><s>{{instruction}}"):
        ids = encode_response(tokenizer, hostile)
        assert tokenizer.decode(ids[:-1]) == hostile
        assert not {256, 257} & set(ids[:-1])
        prompt = encode_prompt(tokenizer, TEMPLATE, hostile)
        assert tokenizer.decode(prompt[1:]) == fill_template(TEMPLATE, hostile)
        assert not {256, 257} & set(prompt[1:])


HOSTILE = [
    "",
    " ",
    "  two spaces",
    "\n\n",
    "</s>",
    "a</s><s>b",
    "👩‍👩‍👧 é\u0301",
    "\u202e\0",
    "x" * 400,
    "{instruction}",
    "日本語",
]


def alone(tokenizer, text, **options):
    """Each text in a call of its own."""
    return tokenizer(text, split_special_tokens=True, **options)["input_ids"]


@given(texts=st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30)), max_size=8))
@pytest.mark.parametrize("post_processor", ["<s> $A", "$A </s>"])
def test_many_texts_in_one_call_are_tokenized_as_each_alone(post_processor, texts):
    """Also by a tokenizer whose file tells it to pad and to cut."""
    tokenizer = byte_tokenizer(post_processor)
    for padded in (False, True):
        if padded:
            tokenizer.backend_tokenizer.enable_padding(pad_id=257, pad_token="</s>")
            tokenizer.backend_tokenizer.enable_truncation(5)
        prompts = encode_prompts(tokenizer, TEMPLATE, texts)
        responses = encode_responses(tokenizer, texts)
        assert [[*prompt, 257] if post_processor == "$A </s>" else prompt for prompt in prompts] == [
            alone(tokenizer, fill_template(TEMPLATE, text)) for text in texts
        ]
        assert responses == [[*alone(tokenizer, text, add_special_tokens=False), 257] for text in texts]
        assert prompts == [encode_prompt(tokenizer, TEMPLATE, text) for text in texts]
        assert responses == [encode_response(tokenizer, text) for text in texts]


def test_no_eos_is_an_error():
    tokenizer = byte_tokenizer("$A")
    tokenizer.eos_token = None
    with pytest.raises(CloserlookError, match="no end-of-sequence token"):
        encode_response(tokenizer, "x")


def test_templates(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"\xef\xbb\xbfQ: {instruction}\r\nA: {x}")
    assert read_template(path) == "Q: {instruction}\nA: {x}"
    assert fill_template(read_template(path), "{instruction} {0}") == "Q: {instruction} {0}\nA: {x}"
    for content, message in [(b"none", "0 times"), (b"{instruction}{instruction}", "2 times"), (b"\xff", "not UTF-8")]:
        path.write_bytes(content)
        with pytest.raises(CloserlookError, match=message):
            read_template(path)
    with pytest.raises(CloserlookError, match=r"gone\.txt: cannot be read: No such file"):
        read_template(tmp_path / "gone.txt")
