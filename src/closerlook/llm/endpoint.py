"""The client of OpenAI-compatible endpoints: concurrent calls, each answer cached as soon as it arrives."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from openai import APIStatusError, AsyncOpenAI, BadRequestError, OpenAIError, UnprocessableEntityError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from closerlook.config.judges import OpenAIJudge
from closerlook.core.errors import CloserlookError
from closerlook.llm.budget import Budget, check_budget, estimate_tokens, preview, price
from closerlook.llm.cache import Answer, Cache
from closerlook.llm.client import CompletionModel, Done, Request, cache_key, is_final, model_and_server
from closerlook.llm.pace import BrokenAnswerError, Pace, is_out_of_quota, is_transient
from closerlook.llm.secret import read_key, redact

log = logging.getLogger(__name__)

GIVE_UP_AFTER = 20
"""Requests in a row that failed after all retries: the server is gone."""
KEPT = "Answers so far are cached; run it again to resume"


class Endpoint(CompletionModel):
    """One model of one server. With `usable`, an answer that is not usable is requested once more."""

    def __init__(self, judge: OpenAIJudge, cache: Cache, budget: Budget | None = None) -> None:
        """Raises CloserlookError if the server needs an API key and none is set."""
        self.judge, self.cache, self.budget = judge, cache, budget or Budget()
        self._key = read_key(judge.key_variable, judge.base_url)
        self._source = model_and_server(judge)
        self._rejected: set[str] = set()
        """Parameters that the server does not take."""
        self._stop: CloserlookError | None = None
        """Why no further calls are made."""
        self._answered = self._failed_in_a_row = 0
        self._pending_cost = 0.0
        """Estimated cost of the calls in flight."""

    def key(self, request: Request) -> str:
        """Return the key of a cached answer."""
        return cache_key(self.judge, request)

    def answer(
        self, todo: Mapping[str, Request], done: Done, usable: Callable[[str], bool], expected_tokens: float | None
    ) -> None:
        """Send the requests concurrently.

        Raises CloserlookError if the budget does not cover them, and later if it is spent, the key is refused, the account is
        empty or the server is gone.
        """
        self._output = self.cache.mean_output_tokens(self._source) or expected_tokens or self.judge.max_tokens
        expected = preview([request.prompt for request in todo.values()], self._output, self.judge)
        log.info("%s: %s", self._source, expected)
        check_budget(self.budget, expected, self.cache.spent(self.budget.purpose), self.judge.openai)
        asyncio.run(self._ask_all(todo, usable, done))

    async def _ask_all(self, todo: Mapping[str, Request], usable: Callable[[str], bool], done: Done) -> None:
        """Run `concurrency` workers. When one of them sets `_stop`, all end after the call that they are in."""
        self._stop, self._answered, self._failed_in_a_row = None, 0, 0
        pace, remaining = Pace(self.judge.requests_per_minute), iter(todo.items())
        async with AsyncOpenAI(
            api_key=self._key.get_secret_value(),
            base_url=self.judge.base_url,
            timeout=self.judge.timeout,
            max_retries=0,
        ) as client:

            async def work() -> None:
                for key, request in remaining:
                    answer, cost = await self._ask(client, pace, key, request, usable)
                    if self._stop:
                        return
                    done(key, answer, cost)

            await asyncio.gather(*(work() for _ in range(min(self.judge.concurrency, len(todo)))))
        if self._stop:
            raise self._stop

    async def _ask(
        self, client: AsyncOpenAI, pace: Pace, key: str, request: Request, usable: Callable[[str], bool]
    ) -> tuple[Answer, float]:
        """Send one request until its answer is usable, MAX_ATTEMPTS times at most. Returns the answer and the cost."""
        paid = 0.0
        answer = self.cache.get(key) or Answer()  # another process may have asked in the meantime
        while not is_final(answer, usable):
            try:
                new, cost = await self._paid_call(client, pace, request)
            except (OpenAIError, BrokenAnswerError, TimeoutError) as error:
                self._note_failure(error)
                # An unusable answer of an earlier call is better than none.
                return (answer if answer.asked else Answer(error=self._describe_error(error))), paid
            if not new.asked:
                break
            self._answered, self._failed_in_a_row = self._answered + 1, 0
            answer = replace(
                new,
                input_tokens=answer.input_tokens + new.input_tokens,
                output_tokens=answer.output_tokens + new.output_tokens,
                asked=answer.asked + 1,
            )
            self.cache.put(key, self._source, answer, self.budget.purpose, cost)
            paid += cost
        return answer, paid

    async def _paid_call(self, client: AsyncOpenAI, pace: Pace, request: Request) -> tuple[Answer, float]:
        """Make a call, with retries, and return the answer and its cost. An answer with `asked` 0 means that all must stop."""
        estimate = price(self.judge, estimate_tokens(request.prompt), self._output) or 0.0
        spent = self.cache.spent(self.budget.purpose) + self._pending_cost
        if self.budget.amount is not None and spent + estimate > self.budget.amount and not self._stop:
            self._stop = CloserlookError(
                f"{self.budget.key}: found {self.budget.amount:,.2f}, of which {self.cache.spent(self.budget.purpose):,.2f} are "
                f"spent: expected enough for another call to {self.judge.openai} (about {estimate:,.4f}). {KEPT}, with a higher "
                f"{self.budget.key}"
            )
        if self._stop:
            return Answer(), 0.0
        self._pending_cost += estimate
        try:
            retrying = AsyncRetrying(
                stop=stop_after_attempt(self.judge.retries + 1),
                wait=pace.wait,
                retry=retry_if_exception(lambda error: self._stop is None and is_transient(error)),
                reraise=True,
            )
            answer: Answer = await retrying(self._call, client, pace, request)
        finally:
            self._pending_cost -= estimate
        return answer, price(self.judge, answer.input_tokens, answer.output_tokens) or 0.0

    async def _call(self, client: AsyncOpenAI, pace: Pace, request: Request) -> Answer:
        """Make one call. A parameter that the server rejects is omitted from then on, if the server answers without it."""
        rejected: set[str] = set()
        while True:
            await pace.turn()
            parameters = _drop_parameters(self._parameters(request), self._rejected | rejected)
            try:
                async with asyncio.timeout(self.judge.timeout):
                    # Not chat.completions.create: its type checks cost as much as the call, and `_read` checks everything.
                    messages = [{"role": "user", "content": request.prompt}]
                    body = {"model": self.judge.openai, "messages": messages} | parameters
                    completion = await client.post("/chat/completions", body=body, cast_to=object)
            except (BadRequestError, UnprocessableEntityError) as error:
                if error.code == "content_filter":
                    return Answer(model=self.judge.openai, refused=True, asked=1)
                if (name := _rejected_parameter(error, parameters)) is None:
                    raise
                rejected.add(name)
                continue
            except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
                raise BrokenAnswerError(f"a malformed body ({type(error).__name__})") from None
            for name in sorted(rejected - self._rejected):
                log.warning("%s does not take %s, which is omitted from now on", self._source, name)
            self._rejected |= rejected
            return self._read(completion, request)

    def _parameters(self, request: Request) -> dict[str, Any]:
        judge = self.judge
        parameters: dict[str, Any] = {"temperature": 0, "max_tokens": judge.max_tokens, "seed": judge.seed}
        if judge.structured and request.schema:
            schema = {"name": request.name, "schema": request.schema, "strict": True}
            parameters["response_format"] = {"type": "json_schema", "json_schema": schema}
        return parameters

    def _read(self, completion: Any, request: Request) -> Answer:
        """Return a completion as an answer. The server's body can be anything: HTML arrives as text."""
        try:
            choice, model = completion["choices"][0], completion.get("model") or self.judge.openai
            message, usage = choice["message"], completion.get("usage") or {}
            refusal, text = message.get("refusal"), message.get("content")
            text = (text or refusal or "").encode("utf-8", "replace").decode()  # half a surrogate pair cannot be stored
            return Answer(
                text=redact(text, self._key),
                model=redact(str(model), self._key),
                refused=bool(refusal) or choice.get("finish_reason") == "content_filter",
                input_tokens=_count(usage.get("prompt_tokens"), request.prompt),
                output_tokens=_count(usage.get("completion_tokens"), text),
                asked=1,
            )
        except (KeyError, IndexError, TypeError, AttributeError):
            raise BrokenAnswerError(f"no chat completion: {redact(str(completion), self._key)[:200]}") from None

    def _note_failure(self, error: Exception) -> None:
        """Count a failure, and stop if further calls are pointless."""
        message = self._describe_error(error)
        if isinstance(error, APIStatusError) and not self._stop:
            variable = self.judge.key_variable
            if error.status_code == 401 or (error.status_code == 403 and not self._answered):
                self._stop = CloserlookError(f"{self._source} refuses the API key in {variable}: {message}. {KEPT}")
            elif error.status_code == 404 and not self._answered:
                self._stop = CloserlookError(f"{self.judge.base_url} has no model {self.judge.openai}: {message}")
            elif is_out_of_quota(error):
                self._stop = CloserlookError(f"{self._source}: the account has no credit left: {message}. {KEPT}")
        if is_transient(error):
            self._failed_in_a_row += 1
        if self._failed_in_a_row >= GIVE_UP_AFTER and not self._stop:
            self._stop = CloserlookError(
                f"{self._source}: {GIVE_UP_AFTER} requests in a row failed, each {self.judge.retries + 1} times: "
                f"{message}. {KEPT}"
            )

    def _describe_error(self, error: Exception) -> str:
        """Return an error's text without the API key."""
        cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        return redact(f"{type(error).__name__}: {error}{cause}", self._key)[:300]


def _count(tokens: Any, text: str) -> int:
    """The server's count of tokens, or an estimate if that is missing or impossible."""
    return tokens if isinstance(tokens, int) and 0 < tokens < 1 << 31 else estimate_tokens(text)


def _rejected_parameter(error: APIStatusError, sent: dict[str, Any]) -> str | None:
    """The parameter that the server rejects. If it names none, assume response_format, which servers often do not take."""
    text = f"{error.param} {error.message}".lower()
    if error.code == "context_length_exceeded" or "context length" in text:
        return None
    if "max_tokens" in sent and "max_completion_tokens" in text:
        return "max_tokens"
    named = [name for name in ("seed", "temperature", "response_format") if name in sent and name in text]
    return named[0] if named else "response_format" if "response_format" in sent else None


def _drop_parameters(parameters: dict[str, Any], rejected: set[str]) -> dict[str, Any]:
    kept = {name: value for name, value in parameters.items() if name not in rejected}
    if "max_tokens" in rejected:
        kept["max_completion_tokens"] = parameters["max_tokens"]  # its newer name
    return kept
