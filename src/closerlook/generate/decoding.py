"""closerlook's own engine: a decoding loop.

A response's logits depend on its batch by rounding alone, and its random numbers not at all.
"""

from collections import deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.generate.ragged_cache import RaggedKVCache
from closerlook.generate.response import Ending, Response, end_tokens_of
from closerlook.generate.sampling import next_tokens, uniform_draws
from closerlook.models.logits import Network
from closerlook.models.packed import pack

_PROMPT_TOKENS = 8192
"""Most prompt tokens in one packed pass, which bounds its memory (a longer prompt is read alone)."""


class Decoder:
    """Decodes responses of one model, `batch_size` at a time."""

    def __init__(
        self, network: Network, tokenizer: PreTrainedTokenizerBase, settings: GenerateSettings, batch_size: int
    ) -> None:
        self.network, self.settings, self.batch_size = network, settings, batch_size
        end_tokens = end_tokens_of(network.causal.generation_config, tokenizer)
        self._ending = Ending(tokenizer, settings.stop, end_tokens, "closerlook")
        self._draws: dict[str, Tensor] = {}
        """Uniform numbers of each unfinished response by its id, where tokens are sampled."""

    @torch.inference_mode()
    def respond(self, responses: Sequence[Response]) -> Iterator[Response]:
        """Complete every response in place, and yield each as it ends. Their ids are distinct.

        A finished row leaves the batch at once. Waiting prompts are read when an eighth of the batch is free, since reading them
        one by one costs more than idle rows.
        """
        waiting, active = deque(responses), list[Response]()
        cache = RaggedKVCache(min(self.batch_size, len(responses)))
        while waiting or active:
            if waiting and (cache.rows - len(active) >= max(1, cache.rows // 8) or not active):
                fresh = self._take(waiting, cache.rows - len(active))
                hidden, first = self._read(fresh, cache), len(active)
                active += fresh
            else:
                hidden, first = self._step(active, cache), 0
            self._extend(active[first:], hidden)
            for row in reversed(range(first, len(active))):
                if active[row].finish_reason:
                    finished, active[row] = active[row], active[-1]
                    active.pop()
                    cache.release(row)
                    self._draws.pop(finished.id, None)
                    yield finished

    def _take(self, waiting: deque[Response], rows: int) -> list[Response]:
        """Remove and return the next prompts, for at most `rows` rows and one packed pass."""
        fresh = [waiting.popleft()]
        tokens = len(fresh[0].prompt)
        while waiting and len(fresh) < rows and (tokens := tokens + len(waiting[0].prompt)) <= _PROMPT_TOKENS:
            fresh.append(waiting.popleft())
        return fresh

    def _read(self, fresh: list[Response], cache: RaggedKVCache) -> Tensor:
        """Read prompts into the cache; returns the hidden state of the last token of each, (prompts, width)."""
        if self.settings.temperature:
            self._draws |= {r.id: uniform_draws(self.settings.seed, r.id, r.room) for r in fresh}
        inputs = pack([response.prompt for response in fresh], self.network.device)
        cache.add_prompts(inputs.pop("segments"))
        lasts = torch.tensor(cache.segments).cumsum(0) - 1
        return self.network.hidden(**inputs, ragged_cache=cache)[0, lasts.to(self.network.device)]

    def _step(self, active: list[Response], cache: RaggedKVCache) -> Tensor:
        """Feed each row's latest token; returns its hidden state, (rows, width)."""
        positions = cache.advance(self.network.device)
        latest = torch.tensor([[response.token_ids[-1]] for response in active], device=self.network.device)
        hidden = self.network.hidden(input_ids=latest, position_ids=positions, use_cache=False, ragged_cache=cache)
        return hidden[:, -1]

    def _extend(self, responses: list[Response], hidden: Tensor) -> None:
        """Add the next token to each response, and its finish_reason if it ends."""
        if self.settings.temperature:
            uniform = torch.stack([self._draws[r.id][len(r.token_ids)] for r in responses])
            logits = self.network.logits(hidden)
            tokens = next_tokens(logits, self.settings, uniform)
            chosen = logits.gather(-1, tokens[:, None])[:, 0]
        else:
            tokens, chosen = self.network.greedy(hidden)
        # The only time in a step that waits for the GPU: one tensor tells both.
        for response, token in zip(responses, tokens.masked_fill(~torch.isfinite(chosen), -1).tolist(), strict=True):
            if token < 0:
                raise CloserlookError(
                    f"response {response.id}: the model's logits are not finite after {len(response.token_ids)} tokens; "
                    "its training has probably diverged (see the cell's train_log.jsonl)"
                )
            self._ending.append(response, token)
