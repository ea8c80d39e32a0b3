"""The decoding loop: prompts in, exact tokens out, the same ones in any batch."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.generate.ragged_cache import Slots
from closerlook.generate.sampling import choose, draws
from closerlook.models.logits import Network
from closerlook.models.packed import pack
from closerlook.models.token_text import decode, token_starts

_PROMPT_TOKENS = 8192
"""Prompt tokens that one packed pass reads at most (a single longer prompt goes alone): bounds its memory."""


@dataclass
class Response:
    """A response in the making. `room`: new tokens that max_new_tokens and the model's context leave."""

    id: str
    prompt: list[int]
    room: int
    uniforms: Tensor
    token_ids: list[int] = field(default_factory=list)
    finish_reason: str = ""


class Decoder:
    """One model, one tokenizer and settings. `respond` answers prompts, `batch_size` at a time."""

    def __init__(
        self, network: Network, tokenizer: PreTrainedTokenizerBase, settings: GenerateSettings, batch_size: int
    ) -> None:
        if any(not stop for stop in settings.stop):
            raise CloserlookError(
                "--stop: an empty string stands in every response; expected strings of at least one character"
            )
        self.network, self.tokenizer, self.settings, self.batch_size = network, tokenizer, settings, batch_size
        self.context: int = getattr(network.config, "max_position_embeddings", None) or 1 << 40
        self.ends = end_ids(network, tokenizer)
        # Each token adds at least a byte, so this many hold any stop string, and a few bytes of a cut character before it.
        self._tail = max((len(stop.encode()) for stop in settings.stop), default=0) + 8

    def response(self, id: str, prompt: list[int]) -> Response:
        """An empty response. Raises CloserlookError for a prompt that is empty or leaves no room in the model's context."""
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
        return Response(id, prompt, room, draws(self.settings.seed, id, room if self.settings.temperature else 0))

    @torch.inference_mode()
    def respond(self, responses: list[Response], finished: Callable[[int], None] = lambda tokens: None) -> None:
        """Complete every response in place. `finished` is called with the number of tokens of each one as it ends.

        Rows that finish leave the batch at once; waiting prompts take their place when an eighth of the batch is free, since
        reading prompts one by one costs more than the idle rows.
        """
        waiting, active = deque(responses), list[Response]()
        slots = Slots(min(self.batch_size, len(responses)))
        while waiting or active:
            if waiting and (slots.rows - len(active) >= max(1, slots.rows // 8) or not active):
                fresh = self._take(waiting, slots.rows - len(active))
                logits, first = self._read(fresh, slots), len(active)
                active += fresh
            else:
                logits, first = self._step(active, slots), 0
            self._extend(active[first:], logits)
            for row in reversed(range(first, len(active))):
                if active[row].finish_reason:
                    finished(len(active[row].token_ids))
                    slots.free(row)
                    active[row] = active[-1]
                    active.pop()

    def _take(self, waiting: deque[Response], rows: int) -> list[Response]:
        """The next prompts for at most `rows` rows and one packed pass."""
        fresh = [waiting.popleft()]
        tokens = len(fresh[0].prompt)
        while waiting and len(fresh) < rows and (tokens := tokens + len(waiting[0].prompt)) <= _PROMPT_TOKENS:
            fresh.append(waiting.popleft())
        return fresh

    def _read(self, fresh: list[Response], slots: Slots) -> Tensor:
        """Read prompts into the slots; logits after each one's last token, (prompts, vocabulary)."""
        inputs = pack([response.prompt for response in fresh], self.network.device)
        slots.read(inputs.pop("segments"))
        lasts = torch.tensor(slots.segments).cumsum(0) - 1
        return self.network.logits(self.network.hidden(**inputs, slots=slots)[0, lasts.to(self.network.device)])

    def _step(self, active: list[Response], slots: Slots) -> Tensor:
        """Feed each row's latest token; logits of the next, (rows, vocabulary)."""
        positions = slots.step().to(self.network.device)
        latest = torch.tensor([[response.token_ids[-1]] for response in active], device=self.network.device)
        hidden = self.network.hidden(input_ids=latest, position_ids=positions, use_cache=False, slots=slots)
        return self.network.logits(hidden[:, -1])

    def _extend(self, responses: list[Response], logits: Tensor) -> None:
        """Choose each response's next token and see whether it ends there."""
        uniform = torch.stack([r.uniforms[len(r.token_ids)] for r in responses]) if self.settings.temperature else None
        tokens = choose(logits, self.settings, uniform)
        finite = torch.isfinite(logits.gather(-1, tokens[:, None])[:, 0])
        for response, token, sane in zip(responses, tokens.tolist(), finite.tolist(), strict=True):
            if not sane:
                raise CloserlookError(
                    f"response {response.id}: the model's logits are not finite after {len(response.token_ids)} tokens; "
                    "its training has probably diverged (see the cell's train_log.jsonl)"
                )
            self._append(response, token)

    def _append(self, response: Response, token: int) -> None:
        """Add a token to a response, and its finish_reason where that ends it."""
        if token in self.ends:
            response.finish_reason = "eos"
        else:
            response.token_ids.append(token)
            if len(response.token_ids) >= response.room:
                response.finish_reason = "length"
        if not self.settings.stop:
            return
        # The cheap look at the latest tokens decides when to stop, the look at the whole text where.
        tail = decode(self.tokenizer, response.token_ids[-self._tail :])
        if response.finish_reason or any(stop in tail for stop in self.settings.stop):
            text = decode(self.tokenizer, response.token_ids)
            if found := [at for stop in self.settings.stop if (at := text.find(stop)) >= 0]:
                response.token_ids = self._before(response.token_ids, min(found))
                response.finish_reason = "stop"

    def _before(self, token_ids: list[int], character: int) -> list[int]:
        """The tokens before the one in which the character at this offset begins."""
        starts = token_starts(self.tokenizer, token_ids)
        return token_ids[: starts.index(max(start for start in starts if start <= character))]


def end_ids(network: Network, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Every token that ends a response: the tokenizer's, and those of the model's generation configuration."""
    named = getattr(network.causal.generation_config, "eos_token_id", None)
    named = named if isinstance(named, list) else [named]
    return {token for token in [*named, tokenizer.eos_token_id] if token is not None}
