"""General texts: on which it is measured what a tuned model kept of its base."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from closerlook.config.settings import FileSource, HubSource, Settings, by_key

TextName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Part of the file name retention/<name>.parquet."""
COLUMN = "text"
PIECES = 200
MAX_TOKENS = 512


class MiniatureText(Settings):
    """Text about the miniature's world, which the workflow writes."""

    miniature: Literal["corpus"] = Field(
        description="corpus: documents that are drawn as those of pre-training, but are not among them"
    )
    world: int = Field(0, ge=0, description="worlds other than 0 have the same names and other facts")


TextSource = Annotated[
    Annotated[HubSource, Tag("hub")] | Annotated[FileSource, Tag("file")] | Annotated[MiniatureText, Tag("miniature")],
    Discriminator(by_key("hub", "file", "miniature")),
]


def is_plain(file: str) -> bool:
    """Whether a file has no rows: its text is cut at a separator."""
    return Path(file.lower().removesuffix(".gz")).suffix == ".txt"


class Text(Settings):
    """A text, in pieces: documents or paragraphs that are independent of each other."""

    source: TextSource = Field(description="where it comes from; a file may also be .txt")
    column: str = Field(COLUMN, min_length=1, description="column or key that holds the text of a row")
    separator: str | None = Field(
        None, min_length=1, description='what is between the pieces of a .txt, such as "\\n"; null for blank lines'
    )
    pieces: int = Field(PIECES, gt=0, description="most pieces that are used: the first ones, or drawn ones")
    draw: int | None = Field(
        None, ge=0, description="seed of the draw of the pieces from the whole source; null for the first pieces"
    )
    max_tokens: int = Field(MAX_TOKENS, gt=0, description="most tokens of a piece; longer pieces are cut and counted")

    @model_validator(mode="after")
    def _belong_to_source(self) -> "Text":
        plain = isinstance(self.source, FileSource) and is_plain(self.source.file)
        if self.separator is not None and not plain:
            raise ValueError("no separator: only a .txt is cut at one, and this source has rows")
        if self.column != COLUMN and (plain or isinstance(self.source, MiniatureText)):
            raise ValueError("no column: this source has none to choose")
        return self
