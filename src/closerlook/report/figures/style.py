"""One look for all figures, and files that are the same bytes for the same numbers."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from closerlook.core.files import replacing

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that no machine draws with another
    "font.size": 9,
    "text.parse_math": False,  # a token may hold a dollar sign
    "text.color": "#222222",
    "figure.facecolor": "white",
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#767676",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "svg.fonttype": "path",  # looks the same without the font
    "svg.hashsalt": "closerlook",  # ids in the file would be drawn at random
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
}

INK, MUTED, LIGHT = "#222222", "#767676", "#c9c9c9"
SHIFTED, MARGINAL = "#b2182b", "#e8a33d"
_METHODS = {
    "lft": "#0072b2",
    "sft": "#d55e00",
    "nft": "#009e73",
    "bias": "#aa4499",
    "base": "#767676",
    "icl": "#222222",
}
_OTHERS = (
    "#56b4e9",
    "#b8860b",
    "#882255",
    "#44aa99",
    "#999933",
    "#332288",
)  # Okabe-Ito's and Tol's, safe for the colour-blind
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def colours(methods: Iterable[str]) -> dict[str, str]:
    """A colour per method: the same in every figure for the methods of the catalog, one of the rest for others."""
    found = list(dict.fromkeys(methods))
    others = [name for name in found if name not in _METHODS]
    return {name: _METHODS.get(name) or _OTHERS[others.index(name) % len(_OTHERS)] for name in found}


def save(figure: Figure, path: Path) -> None:
    """Write `path` (.svg) and the same as .png and .pdf beside it, without dates or versions in them."""
    _settle(figure)
    unsaid: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    for kind, metadata in unsaid.items():
        with replacing(path.with_suffix(kind)) as temporary:
            figure.savefig(temporary, format=kind[1:], metadata=metadata, dpi=160)


def _settle(figure: Figure) -> None:
    """Fix the places of the panels: the layout's solver ends at others in the last bit from one run to the next."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(number, 6) for number in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))


def drawable(text: str) -> str:
    """`text` with code points for what the font has no glyph for."""
    return "".join(c if ord(c) in _glyphs() else f"[U+{ord(c):04X}]" for c in text)


@cache
def _glyphs() -> frozenset[int]:
    with matplotlib.rc_context(STYLE):
        return frozenset(FT2Font(findfont(FontProperties())).get_charmap())
