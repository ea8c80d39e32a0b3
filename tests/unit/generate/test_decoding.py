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
from closerlook.generate.response import Ending, new_response
from closerlook.models.logits import Network


def prompts_of(lengths, seed=0):
    rng = random.Random(seed)
    return [[0, *(rng.randrange(2, 320) for _ in range(length - 1))] for length in lengths]


LENGTHS = [5, 40, 1, 17, 17, 29, 3, 11, 2, 33, 8, 21, 12, 7, 60, 14]


def respond(model, prompts, batch_size, **settings):
    model.set_attn_implementation(RAGGED)
    decoder = Decoder(Network(model), byte_tokenizer(), GenerateSettings(**settings), batch_size)
    context, limit = model.config.max_position_embeddings, decoder.settings.max_new_tokens
    responses = [new_response(f"p{i}", prompt, context, limit) for i, prompt in enumerate(prompts)]
    assert sorted(response.id for response in decoder.respond(responses)) == sorted(r.id for r in responses)
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
    assert new_response("a", [0] * 31, 32, 4).room == 1
    with pytest.raises(CloserlookError, match=r"prompt long: 32 tokens .* 32"):
        new_response("long", [0] * 32, 32, 4)
    with pytest.raises(CloserlookError, match="prompt none: "):
        new_response("none", [], 32, 4)


def test_a_row_is_free_as_soon_as_its_response_ends():
    """One pool: 15 short responses do not wait for the long one beside them, and never more than 3 rows are in use."""
    model = tiny_model()
    model.set_attn_implementation(RAGGED)
    model.generation_config.eos_token_id = None
    decoder = Decoder(Network(model), byte_tokenizer(), GenerateSettings(), 3)
    responses = [new_response(str(n), [0, 5], 256, 150 if n == 0 else 4) for n in range(16)]
    rows, real = [], decoder._step
    decoder._step = lambda active, cache: rows.append(len(active)) or real(active, cache)
    ended = [response.id for response in decoder.respond(responses) if response.finish_reason]
    assert ended[-1] == "0"
    assert max(rows) == 3
    assert len(rows) < 160, "as many steps as the longest response needs"


def test_a_stop_string_ends_a_response_at_once():
    model, tokenizer = tiny_model(), byte_tokenizer()
    model.generation_config.eos_token_id = None
    (free, _), *_ = respond(model, [[0, 9, 8]], 1, max_new_tokens=60)
    texts = [tokenizer.decode(free[: n + 1], skip_special_tokens=True) for n in range(len(free))]
    for length in (1, 2, 5):
        stop = texts[30][-length:]
        needed = next(n for n, text in enumerate(texts) if stop in text) + 1
        appended, ending = [], Ending(tokenizer, [stop], {1}, "closerlook")
        response = new_response("p", [0, 9, 8], 256, 60)
        for token in free:
            ending.append(response, token)
            appended.append(token)
            if response.finish_reason:
                break
        assert (response.finish_reason, len(appended)) == ("stop", needed)
        assert ending.finish(new_response("p", [0, 9, 8], 256, 60), free) == response


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
