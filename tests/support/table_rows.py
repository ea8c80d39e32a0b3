"""Rows of any table, for cells and names that real runs seldom have."""

from typing import Any

from closerlook.report.tables.registry import IDENTITY, TABLES

HOSTILE = [
    "a|b",
    "`code`",
    "<script>alert(1)</script>",
    "![x](http://evil/x.png)",
    "[a](b)",
    "**b** _i_ ~~s~~ # h",
    "line\nbreak\r\n",
    "\\input{/etc/passwd}",
    "$x^2$ & % # _ { } ~ ^ \\",
    '"quoted", comma',
    "😀👨\u200d👩 ✓ é ñ ĳ ą",
    "\u202eright to left",
    "\x00\x07\x1b[31mred",
    " \t ",
    "``?`!` '' -- ---",
    "NA",
    "nan",
    "=1+1",
    "&amp; &#124;",
    "w:smile: @everyone",
]

Cells = list[tuple[str, str, str, str, str, str]]

ONE_SIZE: Cells = [
    ("m", d, "1000", method, "0", "ask") for d in ("brief", "verbose") for method in ("lft", "sft", "nft")
]
SIZES: Cells = [
    ("m", d, s, "lft", "0", "ask") for d, sizes in (("a", ("1000", "52000")), ("b", ("326000", ""))) for s in sizes
]
MANY: Cells = [
    (model, "it", size, method, seed, evalset)
    for model in ("m1", "m2")
    for size in ("1000", "2000")
    for method in ("lft", "sft", "other")
    for seed in ("0", "1")
    for evalset in ("ask", "med")
]
HOSTILE_NAMES = {
    f"hostile {i}": [(name, name, "1000", name, "0", "ask") for name in HOSTILE[i : i + 4]]
    for i in range(0, len(HOSTILE), 4)
}
LARGE: Cells = [
    ("m", f"dataset-{d}", size, method, "0", "ask")
    for d in range(9)
    for size in ("1000", "326000")
    for method in ("lft", "sft")
]
LONG_NAMES: Cells = [
    (model, dataset, size, method, "0", evalset)
    for model, method in (("llama-2-13b", "lft"), ("mistral-7b-v0.1", "sft"))
    for dataset, size in (
        ("tulu-v2-mix", "150000"),
        ("tulu-v2-mix", "326154"),
        ("lima-simple", "1000"),
        ("dolly-filtered", "2996"),
        ("brief-without-traced", "800"),
        ("brief-without-similar", "800"),
    )
    for evalset in ("just-eval-instruct", "medinstruct-test")
]
CONTROL: Cells = [("m", "", "", "base", "0", "ask")]

MEASURED: dict[str, list[dict[str, Any]]] = {
    "accuracy": [
        *({"facts": facts, "stated": ""} for facts in ("known", "beside", "unseen")),
        *({"facts": "taught", "stated": stated} for stated in ("0", "1", "2-3", "4+")),
    ],
    "top_shifted_tokens": [{"rank": rank, "token": token} for rank, token in enumerate(HOSTILE, 1)],
    "borrowing": [
        {"searched": "s", "unit": unit, "where": "all", "null": "unrelated", "ngram": str(ngram)}
        for unit in ("shifted", "span:oracle")
        for ngram in (0, 1, 4, 8)
    ],
    "origin": [
        {"marker": "oracle", "searched": "s", "criterion": "verbatim"},
        {"marker": "oracle", "searched": "s", "criterion": "first_semantic", "null": "permuted"},
    ],
    "tradeoff": [
        {"family": family, "method": f"{family}-lr{rate}", "on": "known facts", "unit": "share"}
        for family in ("lft", "sft")
        for rate in ("5e-5", "1e-3", "0.1")
    ],
    "scores_by_aspect": [{"judge": "gpt-4-1106-preview"}],
    "scores_by_task": [
        {"judge": judge, "task_type": task}
        for judge in ("gpt-4-1106-preview", "oracle")
        for task in ("math", "role-play", "writing")
    ],
}
"""By table, the keys that its parts do not tell beforehand."""


def rows_of(name: str, cells: Cells, absent: Cells = ()) -> list[dict[str, Any]]:
    """Rows of a table for some cells; those in `absent` without values. Values differ by cell and may lie off their interval."""
    table = TABLES[name]
    rows = []
    for i, cell in enumerate([*cells, *absent]):
        for part in table.parts:
            if not cell[1] and not part.controls:
                continue
            identity = {c: v if c in part.of else "" for c, v in zip(IDENTITY, cell, strict=True)}
            keys = [{}]
            for key, values in part.keys.items():
                keys = [one | {key: value} for one in keys for value in values]
            if cell not in absent:
                keys = [one | more for one in keys for more in MEASURED.get(name, [{}])]
            for one in keys:
                for m, metric in enumerate(part.metrics):
                    value = (
                        None
                        if cell in absent
                        else (0.05 + 0.03 * (i % 9) + 0.01 * m) * (40 if metric == "base_rank" else 1)
                    )
                    low, high = (value * 1.01, value * 1.2) if value and i else (None, None)
                    blank = dict.fromkeys(table.columns, "")
                    estimate = {"value": value, "ci_low": low, "ci_high": high, "n": 9, "n_null": 0}
                    rows.append(blank | identity | one | {"metric": metric} | estimate)
    return rows
