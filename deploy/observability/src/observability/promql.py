"""Which metrics an expression of PromQL reads. It is taken apart as far as that needs; promtool judges the rest."""

import re
from typing import Final

_TEXT: Final = re.compile(r'"(?:\\.|[^"\\])*"')
_MATCHERS: Final = re.compile(r"\{[^{}]*\}")
_WINDOWS: Final = re.compile(r"\[[^\[\]]*\]")
_LABELS: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_NAME: Final = re.compile(r"(?<![\w:$.])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS: Final = frozenset(
    {
        *("and", "or", "unless", "bool", "offset", "inf", "nan"),
        *(
            "sum",
            "min",
            "max",
            "avg",
            "count",
            "group",
            "stddev",
            "stdvar",
            "quantile",
            "topk",
            "bottomk",
            "count_values",
        ),
        *("by", "without", "on", "ignoring", "group_left", "group_right"),
    }
)
"""What stands where a name could: operators, and aggregations, whose labels may stand before their brackets."""


def metric_names(expression: str) -> frozenset[str]:
    """Return the names of the metrics and of the recording rules that *expression* reads."""
    bare = _TEXT.sub('""', expression)
    for pattern in (_MATCHERS, _WINDOWS, _LABELS):
        bare = pattern.sub(" ", bare)
    return frozenset(name for name in _NAME.findall(bare) if name.lower() not in _WORDS)


def family_of(name: str) -> str:
    """Return the family that the series *name* of a histogram belongs to, or *name*."""
    for suffix in ("_bucket", "_count", "_sum"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
