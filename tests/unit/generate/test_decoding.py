"""The decoding loop against transformers' own generate, and against itself in other batches."""

import random

import pytest
import torch
from tests.support.tiny_models import ARCHITECTURES, byte_tokenizer, tiny_model

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.generate import decoding
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED
from closerlook.models.logits import Network


def prompts_of(lengths, seed=0):
    rng = random.Random(seed)
    return [[0, *(rng.randrange(2, 320) for _ in range(length - 1))] for length in lengths]


LENGTHS = [5, 40, 1, 17, 17, 29, 3, 11, 2, 33, 8, 21, 12, 7, 60, 14]


def respond(model, prompts, batch_size, **settings):
    model.set_attn_implementation(RAGGED)
    decoder = Decoder(Network(model), byte_tokenizer(), GenerateSettings(**settings), batch_size)
    responses = [decoder.response(f"p{i}", prompt) for i, prompt in enumerate(prompts)]
    with torch.inference_mode():
        decoder.respond(responses)
    return [(r.token_ids, r.finish_reason) for r in responses]


def reference(model, prompts, limit):
    """transformers' generate, one prompt at a time, with its own cache and eager attention."""
    model.set_attn_implementation("eager")
    answers = []
    for prompt in prompts:
        output = model.generate(
            torch.tensor([prompt]), max_new_tokens=limit, do_sample=False, eos_token_id=sorted(ENDS), pad_token_id=1
        )[0, len(prompt) :].tolist()
        ended = output[-1] in ENDS
        answers.append((output[:-1] if ended else output, "eos" if ended else "length"))
    return answers


ENDS = {1, *range(200, 212)}
"""Several end tokens, so that some random responses end early and at different times."""


def with_ends(model):
    model.generation_config.eos_token_id = sorted(ENDS)
    return model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_equals_transformers_generate_in_any_batch(architecture):
    model, prompts = with_ends(tiny_model(architecture)), prompts_of(LENGTHS)
    expected = reference(model, prompts, 40)
    assert {reason for _, reason in expected} == {"eos", "length"}, "the test needs responses of both kinds"
    for batch_size in (1, 3, 16):
        assert respond(model, prompts, batch_size, max_new_tokens=40) == expected


def test_order_of_the_prompts_does_not_matter():
    model, prompts = with_ends(tiny_model()), prompts_of(LENGTHS)
    forward = respond(model, prompts, 5, max_new_tokens=30)
    assert respond(model, prompts[::-1], 5, max_new_tokens=30)[::-1] == forward


def test_prompts_are_read_in_several_passes(monkeypatch):
    model, prompts = with_ends(tiny_model()), prompts_of(LENGTHS)
    whole = respond(model, prompts, 16, max_new_tokens=20)
    monkeypatch.setattr(decoding, "_PROMPT_TOKENS", 30)  # less than the longest prompt, which then goes alone
    assert respond(model, prompts, 16, max_new_tokens=20) == whole


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_sampling_does_not_depend_on_the_batch(top_p):
    model, prompts = with_ends(tiny_model()), prompts_of(LENGTHS)
    draw = {"max_new_tokens": 25, "temperature": 0.9, "top_p": top_p}
    alone = respond(model, prompts, 1, **draw)
    assert respond(model, prompts, 3, **draw) == alone == respond(model, prompts, 16, **draw)
    assert respond(model, prompts, 3, seed=1, **draw) != alone
    assert alone != respond(model, prompts, 1, max_new_tokens=25)


def test_context_caps_a_response():
    model = tiny_model(max_position_embeddings=32)
    model.generation_config.eos_token_id = None
    for ids, reason in respond(model, prompts_of([30, 31, 10]), 2, max_new_tokens=4):
        assert reason in ("length", "eos")
        assert len(ids) <= 4
    decoder = Decoder(Network(model), byte_tokenizer(), GenerateSettings(max_new_tokens=4), 2)
    assert decoder.response("a", [0] * 31).room == 1
    with pytest.raises(CloserlookError, match=r"prompt long: 32 tokens .* 32"):
        decoder.response("long", [0] * 32)
    with pytest.raises(CloserlookError, match="prompt none: "):
        decoder.response("none", [])


def test_stop_strings_cut_where_they_begin():
    model, prompts, tokenizer = with_ends(tiny_model()), prompts_of(LENGTHS), byte_tokenizer()
    free = respond(model, prompts, 4, max_new_tokens=40)
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids, _ in free]
    shorter, longest = sorted(texts, key=len)[-2:]
    stops = [shorter[3:5], longest[6:9], "never there at all"]
    assert all(stops)
    stopped = respond(model, prompts, 4, max_new_tokens=40, stop=stops)
    assert stopped == respond(model, prompts, 16, max_new_tokens=40, stop=stops)
    for text, (whole, reason), (ids, why) in zip(texts, free, stopped, strict=True):
        first = min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)
        if first is None:
            assert (ids, why) == (whole, reason)
            continue
        assert why == "stop"
        assert whole[: len(ids)] == ids
        assert len(tokenizer.decode(ids)) <= first, "nothing of the stop string stays"
        assert len(tokenizer.decode(whole[: len(ids) + 1])) > first or "\ufffd" in text, "and no token more is lost"


def test_an_empty_stop_string_is_refused():
    with pytest.raises(CloserlookError, match="--stop"):
        Decoder(Network(tiny_model()), byte_tokenizer(), GenerateSettings(stop=[""]), 1)


def test_diverged_weights_name_the_response():
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight[7] = float("nan")
    with pytest.raises(CloserlookError, match="response p0: "):
        respond(model, prompts_of([4]), 1)


def test_a_head_that_scales_is_refused():
    model = tiny_model("gemma3")
    model.set_attn_implementation(RAGGED)
    Network(model).check()
    model.config.final_logit_softcapping = 0.5
    with pytest.raises(CloserlookError, match="scales or caps the logits"):
        Network(model).check()
