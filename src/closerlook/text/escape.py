"""Format numbers, and escape untrusted text for Markdown and LaTeX."""

import html
import unicodedata
from typing import Literal

SYMBOLS = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"}
"""Visible symbols for whitespace."""

# Braces around ' and ` since two in a row become another sign, around - since it becomes a dash, and around [ ] * since LaTeX
# would read an argument or a star after a line end.
_LATEX = {c: f"\\{c}" for c in "{}$&#%_"} | {c: f"{{{c}}}" for c in "'`-[]*"}
_LATEX |= {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", '"': r"{\char34}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "␣": r"\textvisiblespace{}"}
_LATEX |= {"⏎": r"$\hookleftarrow$", "⇥": r"$\mapsto$", "‖": r"$\Vert$", "·": r"$\cdot$", "…": r"\textellipsis{}"}
_LATEX |= {"–": r"\textendash{}", "—": r"\textemdash{}", "‘": r"\textquoteleft{}", "’": r"\textquoteright{}"}
_LATEX |= {"“": r"\textquotedblleft{}", "”": r"\textquotedblright{}"}
_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u0327": "c", "\u030c": "v"}

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|~"} | {"$": "&#36;", "@": "&#64;", ":": "&#58;"})


def number(value: float | None, kind: Literal["number", "share", "count", "flag"], mark: str = "%") -> str:
    """A formatted value: shares in %, counts with thousands separators, flags as yes or no, others with three digits."""
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
    """The power of ten of a number's first digit, after rounding to three digits."""
    return int(f"{value:.2e}".partition("e")[2])


def visible(text: str, space: str = SYMBOLS[" "]) -> str:
    """`text` on one line, with whitespace as symbols and other invisible or control characters as code points."""
    return "".join(space if c == " " else SYMBOLS.get(c) or (c if is_visible(c) else f"[U+{ord(c):04X}]") for c in text)


def is_visible(character: str) -> bool:
    """Whether a character is visible in every context."""
    return character.isprintable() and not unicodedata.combining(character)


def markdown(text: str) -> str:
    """`text` escaped for Markdown and HTML, on one line."""
    return html.escape(visible(text, " "), quote=False).translate(_MARKDOWN)


def latex(text: str) -> str:
    """`text` as LaTeX for any engine without packages: characters beyond ASCII and accented letters are code points."""
    return "".join(_LATEX.get(c) or _ascii(c) for c in visible(text, " "))


def _ascii(character: str) -> str:
    if character.isascii():
        return character
    letter, *accents = list(unicodedata.normalize("NFD", character))
    if letter.isascii() and letter.isalpha() and letter not in "ij" and len(accents) == 1 and accents[0] in _ACCENTS:
        return f"\\{_ACCENTS[accents[0]]}{{{letter}}}"
    return f"{{[}}U+{ord(character):04X}{{]}}"
