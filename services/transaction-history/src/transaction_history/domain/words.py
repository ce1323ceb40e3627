"""What words a text has: one function for what is indexed and for what is looked for. Pure."""

import unicodedata
from functools import lru_cache
from typing import Final

import regex

_ROUNDS_MAX: Final = 4
"""Folding settles in two rounds; a third has not been seen to change anything."""
_RUN: Final = regex.compile(
    r"(?P<pairs>[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u30fc"
    r"\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+)"
)
"""Scripts that set no space between words."""
_WORD: Final = regex.compile(r"(?w)\b\w.*?\b")
"""By the boundaries of Unicode's annex 29."""
_PAIR: Final = 2


@lru_cache(maxsize=16_384)
def normalised(text: str) -> str:
    """Return *text* with what readers take for the same written the same: NFKC, case folded, marks stripped.

    Applied to its own result it changes nothing.
    """
    if text.isascii():
        return text.lower()
    folded = _folded(text)
    for _ in range(_ROUNDS_MAX):
        again = _folded(folded)
        if again == folded:
            break
        folded = again
    return folded


@lru_cache(maxsize=16_384)
def words_of(text: str) -> tuple[str, ...]:
    """Return the words of *text*, normalised and in order: pairs of characters where a script sets no spaces.

    A single character of such a script, between others, is a word by itself.
    """
    plain = normalised(text)
    if plain.isascii():
        return tuple(_WORD.findall(plain))
    words: list[str] = []
    done = 0
    for run in _RUN.finditer(plain):
        words += _WORD.findall(plain[done : run.start()])
        words += _pairs(run[0])
        done = run.end()
    return (*words, *_WORD.findall(plain[done:]))


def _pairs(run: str) -> list[str]:
    if len(run) < _PAIR:
        return [run]
    return [run[index : index + _PAIR] for index in range(len(run) - 1)]


def _folded(text: str) -> str:
    parts = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    stripped = "".join(each for each in parts if not unicodedata.category(each).startswith("M"))
    return unicodedata.normalize("NFKC", stripped)
