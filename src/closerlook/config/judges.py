"""Judges: who scores a response, and how it is asked. Each kind is identified by one key, as for sources."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from closerlook.config.settings import Settings, by_key


class OracleSettings(Settings):
    """The oracle has no settings: see closerlook.judge.oracle for its rules."""


class OracleJudge(Settings):
    """The miniature's own judge, which knows the truth. Judges evalsets of the miniature only."""

    oracle: OracleSettings = Field(description="always {}: there are no settings")


class AskSettings(Settings):
    """The settings that decide what a judge is asked."""

    prompt_file: str = Field(
        "config/prompts/judge_aspects.txt",
        description="text with ${instruction} and ${candidate} (string.Template), optionally ${reference} and ${boundary}",
    )
    aspects: list[str] = Field(
        ["helpfulness", "clarity", "factuality", "depth", "engagement"],
        min_length=1,
        description="the aspects that the prompt asks scores for; [safety] for the safety prompt",
    )
    max_tokens: int = Field(1024, gt=0, description="longest answer of the judge, in tokens")


class ServerSettings(Settings):
    """The server that is asked, and the parameters of a request."""

    base_url: str = Field(
        "https://api.openai.com/v1", description="any OpenAI-compatible endpoint, e.g. http://localhost:8000/v1"
    )
    seed: int = Field(0, description="seed that is sent to the server, if it accepts one")
    structured: bool = Field(
        True,
        description="ask for JSON that matches a schema; omitted from then on if the server rejects it",
    )


class PaceSettings(Settings):
    """Rate limits and prices of a server. They never change a score."""

    key_variable: str = Field("OPENAI_API_KEY", description="environment variable with the API key")
    concurrency: int = Field(16, gt=0, le=1000, description="concurrent calls")
    requests_per_minute: float | None = Field(None, gt=0, description="most calls that start in a minute")
    timeout: float = Field(120, gt=0, description="seconds after which a call is repeated")
    retries: int = Field(
        10,
        ge=0,
        description="most repetitions of a call after 429, 5xx, a timeout, a dropped connection or a broken body",
    )
    input_price: float | None = Field(None, ge=0, description="price per million prompt tokens, in any currency")
    output_price: float | None = Field(None, ge=0, description="price per million answer tokens, in the same currency")


class OpenAIJudge(AskSettings, ServerSettings, PaceSettings):
    """A model behind an OpenAI-compatible endpoint, at temperature 0. Every answer is cached."""

    openai: str = Field(description="name of the model; a dated version (gpt-4-1106-preview) does not change over time")


class LocalJudge(AskSettings):
    """A chat model from the hub or a folder, run by vLLM if it is installed and there is a GPU, else by closerlook."""

    local: str = Field(description="hub id, or a folder relative to the project's root")
    revision: str = Field(
        "main", description="commit, tag or branch on the hub; a commit makes the scores reproducible"
    )
    threads: int = Field(1, gt=0, description="CPU threads of each job that runs it")
    batch_size: int = Field(
        32, gt=0, description="answers decoded together; a larger batch needs more memory; vLLM finds its own"
    )
    gpu: str | None = Field(None, description="type of GPU of the site; null for the site's first")
    hours: float = Field(4, gt=0, description="time limit of the first job; a restarted job resumes where it stopped")


JUDGE_KEYS = ("oracle", "openai", "local")
Judge = Annotated[
    Annotated[OracleJudge, Tag("oracle")] | Annotated[OpenAIJudge, Tag("openai")] | Annotated[LocalJudge, Tag("local")],
    Discriminator(by_key(*JUDGE_KEYS)),
]
