"""The decoding loop, whose tokens do not depend on the batch."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.generate.ragged_cache import RaggedKVCache
from closerlook.generate.sampling import next_tokens, uniform_draws
from closerlook.models.logits import Network
from closerlook.models.packed import pack
from closerlook.models.token_text import decode, token_starts

_PROMPT_TOKENS = 8192
"""Most prompt tokens in one packed pass, which bounds its memory (a longer prompt is read alone)."""


@dataclass
class Response:
    """An unfinished response. room: the number of new tokens that max_new_tokens and the model's context allow."""

    id: str
    prompt: list[int]
    room: int
    uniforms: Tensor
    token_ids: list[int] = field(default_factory=list)
    finish_reason: str = ""


class Decoder:
    """Decodes responses of one model, `batch_size` at a time."""

    def __init__(
        self, network: Network, tokenizer: PreTrainedTokenizerBase, settings: GenerateSettings, batch_size: int
    ) -> None:
        if any(not stop for stop in settings.stop):
            raise CloserlookError(
                "--stop: found an empty string, which is in every response; expected strings of at least one character"
            )
        self.network, self.tokenizer, self.settings, self.batch_size = network, tokenizer, settings, batch_size
        self.context: int = getattr(network.config, "max_position_embeddings", None) or 1 << 40
        self.ends = end_token_ids(network, tokenizer)
        # Each token adds at least a byte, so this many contain any stop string, and some bytes of a split character before it.
        self._tail = max((len(stop.encode()) for stop in settings.stop), default=0) + 8

    def response(self, id: str, prompt: list[int]) -> Response:
        """An empty response. Raises CloserlookError if the prompt is empty or fills the model's context."""
        if not prompt:
            raise CloserlookError(
                f"prompt {id}: has no tokens; expected a template and a tokenizer that give at least one"
            )
        room = min(self.settings.max_new_tokens, self.context - len(prompt))
        if room < 1:
            raise CloserlookError(
                f"prompt {id}: {len(prompt)} tokens leave no room for a response in the model's context of {self.context}; "
                "shorten the template or leave the instruction out of the evalset"
            )
        return Response(
            id, prompt, room, uniform_draws(self.settings.seed, id, room if self.settings.temperature else 0)
        )

    @torch.inference_mode()
    def respond(self, responses: list[Response], finished: Callable[[int], None] = lambda tokens: None) -> None:
        """Complete every response in place. `finished` is called with the number of tokens of each response when it ends.

        A finished row leaves the batch at once. Waiting prompts are read when an eighth of the batch is free, since reading them
        one by one costs more than idle rows.
        """
        waiting, active = deque(responses), list[Response]()
        cache = RaggedKVCache(min(self.batch_size, len(responses)))
        while waiting or active:
            if waiting and (cache.rows - len(active) >= max(1, cache.rows // 8) or not active):
                fresh = self._take(waiting, cache.rows - len(active))
                logits, first = self._read(fresh, cache), len(active)
                active += fresh
            else:
                logits, first = self._step(active, cache), 0
            self._extend(active[first:], logits)
            for row in reversed(range(first, len(active))):
                if active[row].finish_reason:
                    finished(len(active[row].token_ids))
                    cache.release(row)
                    active[row] = active[-1]
                    active.pop()

    def _take(self, waiting: deque[Response], rows: int) -> list[Response]:
        """Remove and return the next prompts, for at most `rows` rows and one packed pass."""
        fresh = [waiting.popleft()]
        tokens = len(fresh[0].prompt)
        while waiting and len(fresh) < rows and (tokens := tokens + len(waiting[0].prompt)) <= _PROMPT_TOKENS:
            fresh.append(waiting.popleft())
        return fresh

    def _read(self, fresh: list[Response], cache: RaggedKVCache) -> Tensor:
        """Read prompts into the cache; returns the logits after the last token of each, (prompts, vocabulary)."""
        inputs = pack([response.prompt for response in fresh], self.network.device)
        cache.add_prompts(inputs.pop("segments"))
        lasts = torch.tensor(cache.segments).cumsum(0) - 1
        return self.network.logits(self.network.hidden(**inputs, ragged_cache=cache)[0, lasts.to(self.network.device)])

    def _step(self, active: list[Response], cache: RaggedKVCache) -> Tensor:
        """Feed each row's latest token; returns the logits of the next one, (rows, vocabulary)."""
        positions = cache.advance().to(self.network.device)
        latest = torch.tensor([[response.token_ids[-1]] for response in active], device=self.network.device)
        hidden = self.network.hidden(input_ids=latest, position_ids=positions, use_cache=False, ragged_cache=cache)
        return self.network.logits(hidden[:, -1])

    def _extend(self, responses: list[Response], logits: Tensor) -> None:
        """Add the next token to each response, and its finish_reason if it ends."""
        uniform = torch.stack([r.uniforms[len(r.token_ids)] for r in responses]) if self.settings.temperature else None
        tokens = next_tokens(logits, self.settings, uniform)
        finite = torch.isfinite(logits.gather(-1, tokens[:, None])[:, 0])
        for response, token, is_finite in zip(responses, tokens.tolist(), finite.tolist(), strict=True):
            if not is_finite:
                raise CloserlookError(
                    f"response {response.id}: the model's logits are not finite after {len(response.token_ids)} tokens; "
                    "its training has probably diverged (see the cell's train_log.jsonl)"
                )
            self._append(response, token)

    def _append(self, response: Response, token: int) -> None:
        """Add a token to a response, and its finish_reason if the token ends it."""
        if token in self.ends:
            response.finish_reason = "eos"
        else:
            response.token_ids.append(token)
            if len(response.token_ids) >= response.room:
                response.finish_reason = "length"
        if not self.settings.stop:
            return
        # The latest tokens show, at little cost, whether to stop; the whole text shows where.
        tail = decode(self.tokenizer, response.token_ids[-self._tail :])
        if response.finish_reason or any(stop in tail for stop in self.settings.stop):
            text = decode(self.tokenizer, response.token_ids)
            if starts := [start for stop in self.settings.stop if (start := text.find(stop)) >= 0]:
                # Keep the tokens before the one in which the stop string's first character starts.
                token_begins = token_starts(self.tokenizer, response.token_ids)
                last = max(begin for begin in token_begins if begin <= min(starts))
                response.token_ids = response.token_ids[: token_begins.index(last)]
                response.finish_reason = "stop"


def end_token_ids(network: Network, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of all tokens that end a response: the tokenizer's, and those of the model's generation configuration."""
    configured = getattr(network.causal.generation_config, "eos_token_id", None)
    configured = configured if isinstance(configured, list) else [configured]
    return {token for token in [*configured, tokenizer.eos_token_id] if token is not None}
