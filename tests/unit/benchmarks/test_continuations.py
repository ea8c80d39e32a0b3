"""Log-probabilities of continuations, compared with a forward pass per token in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tests.support.tiny_models import ARCHITECTURES, byte_tokenizer, tiny_model

from closerlook.benchmarks.continuations import Continuation, encode_continuations, fit, log_probs, windows
from closerlook.core.errors import CloserlookError
from closerlook.models.logits import Network
from closerlook.models.packed import PACKED
from closerlook.models.pass_limits import PassLimits

TOKENIZER = byte_tokenizer()
WIDE = PassLimits(10_000, 1 << 20)


def naive(model, continuation: Continuation) -> float:
    """The sum over the scored tokens, each from its own pass."""
    tokens, start = continuation
    total = 0.0
    for position in range(start, len(tokens)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([tokens[:position]])).logits[0, -1]
        total += torch.log_softmax(logits.double(), -1)[tokens[position]].item()
    return total


def is_greedy(model, continuation: Continuation) -> bool:
    """Whether each scored token is the likeliest one."""
    tokens, start = continuation
    with torch.no_grad():
        likeliest = model(input_ids=torch.tensor([tokens])).logits[0].argmax(-1).tolist()
    return likeliest[start - 1 : -1] == tokens[start:]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("limits", [WIDE, PassLimits(1, 1), PassLimits(17, 700)])
def test_each_sum_is_that_of_single_passes(architecture: str, limits: PassLimits) -> None:
    """Choices of one token after one context, of several tokens, of one that begins another, and two equal ones."""
    context = [0, 44, 55, 66]
    choices = [[7], [8], [7, 9], [7, 9, 10, 11], [7, 9]]
    continuations = [Continuation([*context, *choice], len(context)) for choice in choices]
    continuations += [Continuation([0, 5, 6, 7, 8], 1), Continuation([0, 44, 55, 66, 7], 2), Continuation([0, 300], 1)]
    expected = [naive(tiny_model(architecture), continuation) for continuation in continuations]
    model = tiny_model(architecture)
    model.set_attn_implementation(PACKED)
    found, greedy = log_probs(Network(model), continuations, limits)
    # A sum of up to 5 float32 log-probabilities, each of about 10 nats.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert greedy.tolist() == [is_greedy(tiny_model(architecture), continuation) for continuation in continuations]


def test_the_likeliest_tokens_are_greedy() -> None:
    """A continuation that the model itself decodes is greedy, and is not if any of its tokens is another."""
    model = tiny_model()
    tokens = [0, 44, 55]
    for _ in range(6):
        with torch.no_grad():
            tokens.append(int(model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
    changed = [[*tokens[:at], (tokens[at] + 1) % 300, *tokens[at + 1 :]] for at in range(3, 9)]
    model.set_attn_implementation(PACKED)
    _, greedy = log_probs(Network(model), [Continuation(ids, 3) for ids in (tokens, *changed)], PassLimits(17, 700))
    assert greedy.tolist() == [True] + [False] * 6


def test_a_shared_context_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    model.set_attn_implementation(PACKED)
    network, read = Network(model), []
    hidden = network.hidden
    monkeypatch.setattr(
        network, "hidden", lambda **inputs: read.append(inputs["input_ids"].numel()) or hidden(**inputs)
    )
    log_probs(network, [Continuation([0, 1, 2, 3, choice], 4) for choice in range(50)], WIDE)
    assert read == [4]


def test_logits_that_are_not_finite_are_refused() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight[3] = torch.nan
    model.set_attn_implementation(PACKED)
    with pytest.raises(CloserlookError, match="not finite"):
        log_probs(Network(model), [Continuation([0, 1, 2], 1)], WIDE)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(texts, texts.filter(bool))
def test_a_continuation_is_the_whole_text_and_scores_what_the_context_does_not_fix(context: str, text: str) -> None:
    (continuation,) = encode_continuations(TOKENIZER, [context], [text])
    tokens, start = continuation
    whole = TOKENIZER(context + text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokens[tokens[0] == 0 and tokens != whole :] == whole
    assert 1 <= start < len(tokens)
    assert context.encode().startswith(
        TOKENIZER.decode(tokens[1:start] if tokens != whole else tokens[:start]).encode()[:1]
    )


def test_a_token_over_the_border_is_scored() -> None:
    """The tokenizer has learned `the` as one token, of which the context has the beginning."""
    (joined,) = encode_continuations(TOKENIZER, ["say t"], ["he cat"])
    whole = TOKENIZER("say the cat", add_special_tokens=False)["input_ids"]
    assert joined.tokens[-len(whole) :] == whole
    assert TOKENIZER.decode(joined.tokens[joined.start :]).lstrip().startswith("the")


def test_a_text_without_a_context_has_a_token_before_it() -> None:
    (alone,) = encode_continuations(TOKENIZER, [""], ["cat"])
    assert alone.start == 1
    assert alone.tokens[0] == TOKENIZER.bos_token_id


@given(st.lists(st.integers(2, 300), min_size=1, max_size=40), st.integers(2, 12))
def test_windows_are_those_of_lm_evaluation_harness(tokens: list[int], context: int) -> None:
    first = TOKENIZER.bos_token_id
    rolled = get_rolling_token_windows(tokens, first, max_seq_len=context, context_len=1)
    expected = [([*before, *scored], len(before)) for before, scored in map(make_disjoint_window, rolled)]
    assert [tuple(piece) for piece in windows(TOKENIZER, tokens, context)] == expected
    assert [tuple(piece) for piece in windows(TOKENIZER, [first, *tokens], context)] == expected


@given(st.lists(st.integers(2, 300), min_size=2, max_size=40), st.data())
def test_what_fits_is_the_end_of_a_continuation(tokens: list[int], data: st.DataObject) -> None:
    whole = Continuation(tokens, data.draw(st.integers(1, len(tokens) - 1)))
    context = data.draw(st.integers(1, 50))
    fitted, cut = fit(whole, context)
    assert fitted.tokens == tokens[-context - 1 :]
    assert cut == (len(tokens) > context + 1)
    assert len(fitted.tokens) - fitted.start == min(len(tokens) - whole.start, context)
