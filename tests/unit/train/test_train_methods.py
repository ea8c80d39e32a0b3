"""NEFTune's noise, sequence by sequence."""

import pytest
import torch
from tests.support.tiny_training import make_model
from torch import nn

from closerlook.train.methods import SegmentNoise, draw_seed


class Embedder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(4, width)

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, tokens):
        return self.embedding(tokens)


def noise_of(segments, places, width=64, alpha=5.0, seed=0):
    model = Embedder(width)
    tokens = torch.zeros(1, sum(segments), dtype=torch.long)
    plain = model(tokens).detach()
    noise = SegmentNoise(model, alpha, seed)
    noise.segments, noise.positions = segments, places
    return (model(tokens).detach() - plain).split(segments, dim=1)


@pytest.mark.parametrize("alpha", [5.0, 15.0])
def test_half_width_follows_each_sequence_not_the_row(alpha):
    segments = [16, 64, 1024]
    for piece, length in zip(noise_of(segments, [0, 1, 2], alpha=alpha), segments, strict=True):
        width = alpha / (length * 64) ** 0.5
        assert piece.abs().max() <= width + 1e-6
        assert piece.abs().max() > 0.97 * width  # of over a thousand uniform draws
        assert piece.std().item() == pytest.approx(width / 3**0.5, rel=0.06)
        assert abs(piece.mean().item()) < 0.06 * width


def test_noise_does_not_depend_on_the_company():
    alone = noise_of([16], [7])[0]
    together = noise_of([64, 16, 8], [3, 7, 1])[1]
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)  # (x + noise) - x in float32
    assert not torch.allclose(alone, noise_of([16], [8])[0])
    assert not torch.allclose(alone, noise_of([16], [7], seed=1)[0])


def test_noise_is_for_training_only():
    model = make_model()
    noise = SegmentNoise(model, 5.0, 0)
    noise.segments, noise.positions = [3], [0]
    tokens = torch.tensor([[1, 2, 3]])
    model.eval()
    clean = model(input_ids=tokens).logits
    assert torch.equal(clean, make_model().eval()(input_ids=tokens).logits)
    assert not torch.equal(clean, model.train()(input_ids=tokens).logits)


def test_seeds_differ_and_repeat():
    seeds = [draw_seed(a, b) for a in range(20) for b in range(20)]
    assert len(set(seeds)) == 400
    assert seeds[0] == draw_seed(0, 0)
    assert min(seeds) >= 0
