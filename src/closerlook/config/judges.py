"""Judges: who scores a response, and how it is asked. Told apart by one key, as sources are."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from closerlook.config.settings import Settings, by_key


class OracleSettings(Settings):
    """The oracle has no settings: its rules are stated in closerlook.judge.oracle."""


class OracleJudge(Settings):
    """The miniature's own judge, which knows the truth. Judges evalsets of the miniature only."""

    oracle: OracleSettings = Field(description="{}: it has no settings")


class AskSettings(Settings):
    """All that decides what a judge is asked."""

    prompt_file: str = Field(
        "config/prompts/judge_aspects.txt",
        description="text with ${instruction} and ${candidate} (string.Template), and maybe ${reference} and ${boundary}",
    )
    aspects: list[str] = Field(
        ["helpfulness", "clarity", "factuality", "depth", "engagement"],
        min_length=1,
        description="what the prompt asks scores for; [safety] for the safety prompt",
    )
    max_tokens: int = Field(1024, gt=0, description="longest answer of the judge, in tokens")


class ServerSettings(Settings):
    """The server that is asked, and what of the question is no text."""

    base_url: str = Field(
        "https://api.openai.com/v1", description="any OpenAI-compatible endpoint, e.g. http://localhost:8000/v1"
    )
    seed: int = Field(0, description="sent to the server, where it takes one")
    structured: bool = Field(
        True,
        description="ask for JSON under a schema; a server that has no such thing is asked without, once and for all",
    )


class PaceSettings(Settings):
    """How fast and at which price a server is asked. Never changes a score."""

    key_variable: str = Field("OPENAI_API_KEY", description="environment variable that holds the API key")
    concurrency: int = Field(16, gt=0, le=1000, description="calls under way at a time")
    requests_per_minute: float | None = Field(None, gt=0, description="most calls that are begun in a minute")
    timeout: float = Field(120, gt=0, description="seconds after which a call is given up and made again")
    retries: int = Field(
        10,
        ge=0,
        description="times that a call is made again after 429, 5xx, a time-out, a dropped connection or a broken body",
    )
    input_price: float | None = Field(None, ge=0, description="price of a million tokens of prompts, in any currency")
    output_price: float | None = Field(None, ge=0, description="price of a million tokens of answers, in that currency")


class OpenAIJudge(AskSettings, ServerSettings, PaceSettings):
    """A model behind an OpenAI-compatible endpoint. Temperature 0, and every answer cached."""

    openai: str = Field(description="name of the model; a dated one (gpt-4-1106-preview) does not drift")


class LocalJudge(AskSettings):
    """A chat model from the Hugging Face hub or a folder, run here: by vLLM where it is and a GPU too, else by transformers."""

    local: str = Field(description="hub id, or folder relative to the project's root")
    revision: str = Field("main", description="commit, tag or branch of the hub; a commit makes the scores repeatable")
    threads: int = Field(1, gt=0, description="CPU threads of each job that runs it")
    batch_size: int = Field(32, gt=0, description="answers decoded together (transformers); more takes more memory")
    gpu: str | None = Field(None, description="type of GPU of the site; the site's first when left out")
    hours: float = Field(4, gt=0, description="time limit to ask for at first; it goes on where it stopped")


JUDGE_KEYS = ("oracle", "openai", "local")
Judge = Annotated[
    Annotated[OracleJudge, Tag("oracle")] | Annotated[OpenAIJudge, Tag("openai")] | Annotated[LocalJudge, Tag("local")],
    Discriminator(by_key(*JUDGE_KEYS)),
]
