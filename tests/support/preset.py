"""A small preset."""

FILE = "config/mine.yaml"
PRESET = {
    "preset": "mine",
    "template": "miniature",
    "grid": [
        {
            "models": ["miniature"],
            "datasets": ["brief@100", "brief"],
            "methods": ["lft", "sft"],
            "evalsets": ["questions"],
        },
        {"models": ["miniature"], "methods": ["base"], "evalsets": ["questions"]},
    ],
}
