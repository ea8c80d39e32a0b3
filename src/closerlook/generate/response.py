"""A response in the making, and the rules that end it, which are the same for every engine."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from transformers import GenerationConfig, PreTrainedTokenizerBase

from closerlook.core.errors import CloserlookError
from closerlook.models.token_text import INCOMPLETE, decode, token_starts


@dataclass
class Response:
    """A response. room: the number of new tokens that max_new_tokens and the model's context allow."""

    id: str
    prompt: list[int]
    room: int
    token_ids: list[int] = field(default_factory=list)
    finish_reason: str = ""
    """eos, stop or length; empty as long as it is unfinished."""
    text_before_stop: str | None = None
    """The text before the stop string that ends it, if one does; `token_ids` lacks the token in which that string begins."""


def new_response(id: str, prompt: list[int], context: int, max_new_tokens: int) -> Response:
    """An empty response. Raises CloserlookError if the prompt is empty or fills the model's context."""
    if not prompt:
        raise CloserlookError(f"prompt {id}: has no tokens; expected a template and a tokenizer that give at least one")
    room = min(max_new_tokens, context - len(prompt))
    if room < 1:
        raise CloserlookError(
            f"prompt {id}: {len(prompt)} tokens leave no room for a response in the model's context of {context}; "
            "shorten the template or leave the instruction out of the evalset"
        )
    return Response(id, prompt, room)


class Ending:
    """Ends responses at a token of `end_tokens`, at a string of `stop`, or when their room is full."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, stop: Collection[str], end_tokens: Collection[int], engine: str
    ) -> None:
        if not all(stop):
            raise CloserlookError(
                "--stop: found an empty string, which is in every response; expected strings of at least one character"
            )
        self.tokenizer, self.stop, self.end_tokens, self.engine = tokenizer, stop, end_tokens, engine
        # Each token adds at least a byte, so this many contain any stop string, and some bytes of a split character before it.
        self._tail = max((len(text.encode()) for text in stop), default=0) + 8
        self._stopping: dict[int, bool] = {}

    def append(self, response: Response, token: int) -> None:
        """Add a token to a response, and its finish_reason if the token ends it."""
        if token in self.end_tokens:
            response.finish_reason = "eos"
        else:
            response.token_ids.append(token)
            if len(response.token_ids) >= response.room:
                response.finish_reason = "length"
        # Few tokens can complete a stop string; then the latest ones show whether to stop, and the whole text shows where.
        if self.stop and (
            response.finish_reason or (self._can_stop(token) and self._has_stop(response.token_ids[-self._tail :]))
        ):
            self._cut(response)

    def finish(self, response: Response, tokens: Iterable[int]) -> Response:
        """Complete a response with all its new tokens. Raises CloserlookError if none of the rules ends it."""
        for token in tokens:
            self.append(response, token)
            if response.finish_reason:
                return response
        raise CloserlookError(
            f"response {response.id}: {self.engine} ended it after {len(response.token_ids)} of {response.room} tokens, "
            "without an end token or a stop string; choose another engine"
        )

    def _cut(self, response: Response) -> None:
        """Keep the tokens before the one in which the first stop string's first character starts."""
        text = decode(self.tokenizer, response.token_ids)
        if starts := [start for stop in self.stop if (start := text.find(stop)) >= 0]:
            token_begins = token_starts(self.tokenizer, response.token_ids)
            last = max(begin for begin in token_begins if begin <= min(starts))
            response.text_before_stop = text[: min(starts)]
            response.token_ids = response.token_ids[: token_begins.index(last)]
            response.finish_reason = "stop"

    def _has_stop(self, token_ids: list[int]) -> bool:
        text = decode(self.tokenizer, token_ids)
        return any(stop in text for stop in self.stop)

    def _can_stop(self, token: int) -> bool:
        """Whether a token has, or may complete, the last character of a stop string."""
        if token not in self._stopping:
            text = decode(self.tokenizer, [token, token])  # the first may lose its space
            self._stopping[token] = any(last in text for last in (INCOMPLETE, *(stop[-1] for stop in self.stop)))
        return self._stopping[token]


def end_tokens_of(configuration: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of all tokens that end a response: the tokenizer's, and those of the model's generation configuration."""
    configured = getattr(configuration, "eos_token_id", None)
    configured = configured if isinstance(configured, list) else [configured]
    return {token for token in [*configured, tokenizer.eos_token_id] if token is not None}
