"""A base model and the models tuned from it, asked the requests of benchmark tasks."""

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import cast

from closerlook.benchmarks.continuations import encode_continuations, first_token, fit, log_probs, windows
from closerlook.benchmarks.requests import Answer, Completion, LogLikelihood, Request, Rolling
from closerlook.config.catalog import BATCH_TOKENS, EngineName
from closerlook.config.cell import PLACEHOLDER
from closerlook.core.errors import CloserlookError
from closerlook.data.prompts import encode_prompts
from closerlook.generate.decoding import Decoder
from closerlook.generate.engines import choose_engine, engine_version, open_engine
from closerlook.generate.ragged_cache import RAGGED
from closerlook.generate.response import new_response
from closerlook.models.device import device, rounding_facts
from closerlook.models.family import Family
from closerlook.models.load import context_length, load_tokenizer, text_config
from closerlook.models.pass_limits import pass_limits
from closerlook.models.precision import dtype_name, exact_dtype, fast_dtype
from closerlook.models.token_text import decode


class Answerer:
    """Asks the base model in a folder, and models tuned from it (full weights or adapters)."""

    def __init__(
        self,
        base: Path,
        tuned: Sequence[Path] = (),
        precision: str = "auto",
        gpus: int = 1,
        batch_tokens: int = BATCH_TOKENS,
        batch_size: int = 64,
        engine: EngineName = "auto",
    ) -> None:
        self.base, self.gpus, self.batch_size, self.engine = base, gpus, batch_size, engine
        self.tokenizer, self.device = load_tokenizer(base), device(gpus)
        self.limits = pass_limits(batch_tokens, self.device)
        self.exact = exact_dtype(precision, self.device)
        self.fast = fast_dtype(precision, self.device, text_config(base).hidden_size)
        self._family = Family(base, tuned, self.device, RAGGED, gpus)

    def facts(self, tuned: Path | None) -> dict[str, str]:
        """Everything but requests and weights that a model's answers depend on."""
        engine = choose_engine(self.engine, tuned)
        dtypes = {"exact": dtype_name(self.exact), "fast": dtype_name(self.fast)}
        return dtypes | {"engine": engine, "version": engine_version(engine)} | rounding_facts(self.device)

    def ask(self, requests: Sequence[Request], tuned: Path | None) -> list[Answer]:
        """The answers of the base model, or of a tuned one, to requests of one kind.

        Raises CloserlookError for logits that are not finite, and for responses that leave no room for a prompt.
        """
        context = context_length(text_config(tuned if tuned and (tuned / "config.json").is_file() else self.base))
        match requests[0]:
            case LogLikelihood():
                return self._continuations(cast(Sequence[LogLikelihood], requests), tuned, context)
            case Rolling():
                return self._texts(cast(Sequence[Rolling], requests), tuned, context)
            case Completion():
                return self._responses(cast(Sequence[Completion], requests), tuned, context)

    def _continuations(self, requests: Sequence[LogLikelihood], tuned: Path | None, context: int) -> list[Answer]:
        contexts, texts = [request.context for request in requests], [request.text for request in requests]
        fitted = [fit(whole, context) for whole in encode_continuations(self.tokenizer, contexts, texts)]
        with self._family.network(tuned, self.exact) as network:
            sums, greedy = log_probs(network, [continuation for continuation, _ in fitted], self.limits)
        return [
            Answer(len(tokens) - start, cut, log_prob, bool(likeliest))
            for ((tokens, start), cut), log_prob, likeliest in zip(fitted, sums.tolist(), greedy, strict=True)
        ]

    def _texts(self, requests: Sequence[Rolling], tuned: Path | None, context: int) -> list[Answer]:
        """A text is read whole, in pieces."""
        tokens = encode_prompts(self.tokenizer, PLACEHOLDER, [request.text for request in requests])
        pieces = [list(windows(self.tokenizer, ids, context)) for ids in tokens]
        with self._family.network(tuned, self.exact) as network:
            values = iter(log_probs(network, [*chain(*pieces)], self.limits)[0].tolist())
        return [
            Answer(
                sum(len(piece.tokens) - piece.start for piece in of_text), log_prob=sum(islice(values, len(of_text)))
            )
            for of_text in pieces
        ]

    def _responses(self, requests: Sequence[Completion], tuned: Path | None, context: int) -> list[Answer]:
        prompts = encode_prompts(self.tokenizer, PLACEHOLDER, [request.prompt for request in requests])
        answers: dict[int, Answer] = {}
        alike: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            alike.setdefault(request.settings.model_dump_json(), []).append(number)
        for asked in alike.values():
            settings = requests[asked[0]].settings
            room = context - settings.max_new_tokens
            if room < 1:
                raise CloserlookError(
                    f"{self.base}: responses of {settings.max_new_tokens} tokens leave no room for a prompt in a context of "
                    f"{context} tokens; lower max_new_tokens, or leave the task out"
                )
            responses = []
            for number in asked:
                # An empty prompt is the beginning of a text.
                prompt = prompts[number][-room:] or [first_token(self.tokenizer)]
                responses.append(new_response(str(number), prompt, context, settings.max_new_tokens))
            engine = choose_engine(self.engine, tuned)
            if engine == "closerlook":
                with self._family.network(tuned, self.fast) as network:
                    for _ in Decoder(network, self.tokenizer, settings, self.batch_size).respond(responses):
                        pass  # they are completed in place
            else:
                how = self.tokenizer, settings, self.fast, self.gpus, self.batch_size
                for _ in open_engine(engine, self.base, tuned, *how)(responses):
                    pass
            for number, response in zip(asked, responses, strict=True):
                text = response.text_before_stop
                text = decode(self.tokenizer, response.token_ids) if text is None else text
                cut = len(prompts[number]) > room
                answers[number] = Answer(len(response.token_ids), cut, response=text)
        return [answers[number] for number in range(len(requests))]
