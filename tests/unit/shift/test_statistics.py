"""The statistics of one position: by hand on three tokens, against float64 from the definitions, and at the edges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from closerlook.shift import divergence
from closerlook.shift.divergence import compare_distributions, top_logits


def by_definition(base, tuned):
    """Section 3 in float64, token by token, with no thought for speed."""
    rows = []
    for lb, lt in zip(base.astype(np.float64), tuned.astype(np.float64), strict=True):
        log_b = lb - lb.max() - math.log(np.exp(lb - lb.max()).sum())
        log_t = lt - lt.max() - math.log(np.exp(lt - lt.max()).sum())
        token = int(np.argmax(lt))
        rows.append(
            {
                "kl_base_tuned": float((np.exp(log_b) * (log_b - log_t)).sum()),
                "kl_tuned_base": float((np.exp(log_t) * (log_t - log_b)).sum()),
                "base_prob": math.exp(log_b[token]),
                "tuned_prob": math.exp(log_t[token]),
                "base_rank": 1 + int((lb > lb[token]).sum()),
                "tuned_token": token,
                **aligntds_by_definition(lb, lt, token),
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def aligntds_by_definition(lb, lt, token, count=30):
    def listed(logits):
        ids = sorted(range(len(logits)), key=lambda i: -logits[i])[:count]
        weights = [math.exp(logits[i] - logits[ids[0]]) for i in ids]
        return ids, dict(zip(ids, (w / sum(weights) for w in weights), strict=True))

    ids_b, p_b = listed(lb)
    _, p_t = listed(lt)
    both = set(p_b) & set(p_t)
    return {
        "aligntds_kl_base_tuned": sum(p_b[i] * math.log(p_b[i] / p_t[i]) for i in both if p_b[i] > 0 and p_t[i] > 0),
        "aligntds_base_prob": p_b.get(token, 0.0),
        "aligntds_base_rank": ids_b.index(token) if token in ids_b else count,
    }


def check(base, tuned, tolerance=2e-5):
    # float32 has 7 digits and a KL is a difference of numbers as large as the logits: 2e-5 for logits up to about 50
    measured = compare_distributions(torch.tensor(base), torch.tensor(tuned))
    for name, expected in by_definition(base, tuned).items():
        if name.startswith("aligntds") and base.shape[1] > 30 and (cut_at_a_tie(base) or cut_at_a_tie(tuned)):
            continue  # which of the equals is the thirtieth is nobody's to say
        np.testing.assert_allclose(measured[name].numpy(), expected, atol=tolerance, rtol=1e-4, err_msg=name)
    return measured


def cut_at_a_tie(logits):
    ordered = np.sort(logits, axis=1)
    return (ordered[:, -30] == ordered[:, -31]).any()


def test_three_tokens_by_hand():
    # P_base = (1/2, 1/4, 1/4), P_tuned = (1/4, 1/2, 1/4): both KLs are 1/4 ln 2; token 1 has base rank 2, as token 2 only ties
    base, tuned = torch.log(torch.tensor([[0.5, 0.25, 0.25]])), torch.log(torch.tensor([[0.25, 0.5, 0.25]]))
    measured = {name: values[0].tolist() for name, values in compare_distributions(base + 3, tuned - 7).items()}
    assert measured["kl_base_tuned"] == pytest.approx(0.25 * math.log(2), abs=1e-6)
    assert measured["kl_tuned_base"] == pytest.approx(0.25 * math.log(2), abs=1e-6)
    assert (measured["base_prob"], measured["tuned_prob"]) == pytest.approx((0.25, 0.5))
    assert (measured["base_rank"], measured["tuned_token"]) == (2, 1)
    assert measured["base_top5_ids"] == [0, 1, 2], "fewer than five tokens: all of them"
    assert measured["base_top5_probs"] == pytest.approx([0.5, 0.25, 0.25])
    assert measured["aligntds_base_prob"] == pytest.approx(0.25)
    assert measured["aligntds_base_rank"] == 1
    assert measured["aligntds_kl_base_tuned"] == pytest.approx(0.25 * math.log(2), abs=1e-6)


def test_skewed_three_tokens_by_hand():
    # KL((.7,.2,.1) || (.1,.2,.7)) = .7 ln 7 + .1 ln(1/7) = .6 ln 7; the tuned token is the base's last
    base, tuned = torch.log(torch.tensor([[0.7, 0.2, 0.1]])), torch.log(torch.tensor([[0.1, 0.2, 0.7]]))
    measured = compare_distributions(base, tuned)
    assert measured["kl_base_tuned"].item() == pytest.approx(0.6 * math.log(7), abs=1e-6)
    assert measured["base_rank"].item() == 3
    assert measured["base_top5_ids"].tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("vocabulary", [2, 5, 30, 31, 100, 3839, 3840, 4001, 50257])
def test_against_float64(vocabulary):
    rng = np.random.default_rng(vocabulary)
    base = (rng.normal(size=(7, vocabulary)) * 4).astype(np.float32)
    tuned = (base + rng.normal(size=base.shape) * np.array([[0], [0.01], [0.3], [1], [3], [6], [9]])).astype(np.float32)
    measured = check(base, tuned)
    order = np.argsort(-base, axis=1)[:, :5]
    assert measured["base_top5_ids"].tolist() == order.tolist()


def test_blocks_do_not_change_the_result(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(13, 4099, generator=generator) * 3
    tuned = base + torch.randn(13, 4099, generator=generator)
    whole = compare_distributions(base, tuned)
    for cached in (1, 2 * 4099, 1 << 30):
        monkeypatch.setattr(divergence, "_CACHED", cached)
        again = compare_distributions(base, tuned)
        assert all(torch.equal(whole[name], again[name]) for name in whole)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_properties(data):
    vocabulary = data.draw(st.integers(1, 90))
    numbers = st.floats(-40, 40, width=32) | st.sampled_from([0.0, 1.0])  # the second makes ties
    base, tuned = (data.draw(hnp.arrays(np.float32, (2, vocabulary), elements=numbers)) for _ in range(2))
    measured = check(base, tuned, 1e-4)
    assert (measured["kl_base_tuned"] >= 0).all()
    assert (measured["kl_tuned_base"] >= 0).all()
    assert ((measured["base_rank"] >= 1) & (measured["base_rank"] <= vocabulary)).all()
    same = compare_distributions(torch.tensor(base), torch.tensor(base))
    assert (same["kl_base_tuned"] == 0).all(), "exactly, not nearly"
    assert (same["kl_tuned_base"] == 0).all()
    assert (same["base_rank"] == 1).all()
    assert (same["base_prob"] == same["tuned_prob"]).all()


@pytest.mark.parametrize("vocabulary", [40, 8000])
def test_ties_take_the_lowest_id(vocabulary):
    tuned = torch.zeros(3, vocabulary)
    tuned[1, [7, 21, 39]] = 5.0
    tuned[2, vocabulary - 1] = 1.0
    base = (
        torch.arange(vocabulary, dtype=torch.float32).flip(0).expand(3, -1).contiguous() / 100
    )  # rank of id i is i + 1
    assert compare_distributions(base, tuned)["base_rank"].tolist() == [1, 8, vocabulary]


def test_extreme_logits_stay_finite():
    base = torch.zeros(2, 5000)
    tuned = torch.zeros(2, 5000)
    base[0, 3], tuned[0, 4] = 300.0, 300.0
    base[1], tuned[1] = 1000.0, -1000.0  # only differences count
    measured = compare_distributions(base, tuned)
    assert measured["kl_base_tuned"][0] == pytest.approx(300, rel=1e-5)
    assert measured["base_prob"][0] == 0
    assert measured["kl_base_tuned"][1] == pytest.approx(0, abs=1e-3)  # 2000 has 1e-4 of rounding in float32


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("vocabulary", [10, 5000])
def test_logits_that_are_not_finite_show(value, vocabulary):
    for spoiled in range(2):
        pair = [torch.zeros(2, vocabulary), torch.zeros(2, vocabulary)]
        pair[spoiled][1, 3] = value
        measured = compare_distributions(*pair)
        total = measured["kl_base_tuned"] + measured["kl_tuned_base"]
        assert torch.isfinite(total[0])
        assert not torch.isfinite(total[1])


def test_no_positions():
    assert all(
        len(values) == 0 for values in compare_distributions(torch.zeros(0, 9000), torch.zeros(0, 9000)).values()
    )


def test_top_agrees_with_a_full_sort():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 12345, generator=generator)
    values, ids = top_logits(logits, 30)
    assert torch.equal(values, logits.sort(-1, descending=True).values[:, :30])
    assert torch.equal(logits.gather(-1, ids), values)
