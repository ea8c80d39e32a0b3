"""The look of all figures, and saving them: the same numbers give the same bytes."""

from collections.abc import Iterable
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from closerlook.core.files import replacing

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same on every machine
    "font.size": 9,
    "text.parse_math": False,  # a token may contain a dollar sign
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
    "svg.hashsalt": "closerlook",  # element ids would be random
    "pdf.fonttype": 42,  # TrueType; publishers refuse Type 3
}

INK, MUTED, LIGHT = "#222222", "#767676", "#c9c9c9"
SHIFTED, MARGINAL = "#b2182b", "#e8a33d"
# Okabe and Ito's colors and Tol's, which color-blind readers can tell apart.
_CATALOG_METHODS = {
    "lft": "#0072b2",
    "sft": "#d55e00",
    "nft": "#009e73",
    "bias": "#aa4499",
    "base": "#767676",
    "icl": "#222222",
}
_OTHER_METHODS = ("#56b4e9", "#b8860b", "#882255", "#44aa99", "#999933", "#332288")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def method_colors(methods: Iterable[str]) -> dict[str, str]:
    """A color per method. A method of the catalog has the same color in every figure."""
    distinct = list(dict.fromkeys(methods))
    others = [name for name in distinct if name not in _CATALOG_METHODS]
    other_colors = dict(zip(others, cycle(_OTHER_METHODS)))
    return {name: _CATALOG_METHODS.get(name) or other_colors[name] for name in distinct}


def save(figure: Figure, path: Path) -> None:
    """Write `path` (.svg) and the same figure as .png and .pdf, without dates or versions."""
    _fix_positions(figure)
    no_metadata: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    for suffix, metadata in no_metadata.items():
        with replacing(path.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, format=suffix[1:], metadata=metadata, dpi=160)


def _fix_positions(figure: Figure) -> None:
    """Lay out the panels and round their positions: the last bits of the layout's solver differ from run to run."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(number, 6) for number in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))


def drawable(text: str) -> str:
    """`text`, with the code point of each character that the font cannot draw."""
    return "".join(c if ord(c) in _glyphs() else f"[U+{ord(c):04X}]" for c in text)


@cache
def _glyphs() -> frozenset[int]:
    with matplotlib.rc_context(STYLE):
        return frozenset(FT2Font(findfont(FontProperties())).get_charmap())
