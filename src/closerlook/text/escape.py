"""Text for people: numbers with sensible digits, and hostile text made harmless in Markdown and LaTeX."""

import html
import unicodedata
from typing import Literal

SYMBOLS = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"}
"""How whitespace is shown where it must be seen."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "'": r"{'}",  # braces: two in a row would become another sign
    "`": r"{`}",
    "-": r"{-}",
    "[": r"{[}",  # behind a line's end it would be taken for an optional argument
    "]": r"{]}",
    "*": r"{*}",
    "␣": r"\textvisiblespace{}",
    "⏎": r"$\hookleftarrow$",
    "⇥": r"$\mapsto$",
    "‖": r"$\Vert$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\textellipsis{}",
    "·": r"$\cdot$",
}
_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u0327": "c", "\u030c": "v"}

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|~"} | {"$": "&#36;", "@": "&#64;", ":": "&#58;"})


def number(value: float | None, kind: Literal["number", "share", "count", "flag"], mark: str = "%") -> str:
    """A value as people write it: shares in %, counts with thousands separators, flags in words, else three digits."""
    if value is None:
        return "–"
    if kind == "flag":
        return "yes" if value else "no"
    if kind == "share":
        return f"{100 * value:.1f}{mark}"
    if kind == "count":
        return f"{value:,.0f}"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:,.{max(0, 2 - _magnitude(value))}f}"
    return f"{value:.2e}"


def _magnitude(value: float) -> int:
    """The power of ten of a number's first digit, after rounding to three."""
    return int(f"{value:.2e}".partition("e")[2])


def visible(text: str, space: str = SYMBOLS[" "]) -> str:
    """`text` on one line: whitespace as symbols, other characters that a terminal or a page would hide or obey as code points."""
    return "".join(space if c == " " else SYMBOLS.get(c) or (c if is_visible(c) else f"[U+{ord(c):04X}]") for c in text)


def is_visible(character: str) -> bool:
    """Whether a character shows as itself, wherever it occurs."""
    return character.isprintable() and not unicodedata.combining(character)


def markdown(text: str) -> str:
    """`text` so that Markdown and HTML show it literally, on one line."""
    return html.escape(visible(text, " "), quote=False).translate(_MARKDOWN)


def latex(text: str) -> str:
    """`text` as LaTeX that any engine sets without further packages: beyond ASCII and accents, letters are code points."""
    return "".join(_LATEX.get(c) or _ascii(c) for c in visible(text, " "))


def _ascii(character: str) -> str:
    if character.isascii():
        return character
    letter, *accents = list(unicodedata.normalize("NFD", character))
    if letter.isascii() and letter.isalpha() and letter not in "ij" and len(accents) == 1 and accents[0] in _ACCENTS:
        return f"\\{_ACCENTS[accents[0]]}{{{letter}}}"
    return f"{{[}}U+{ord(character):04X}{{]}}"
