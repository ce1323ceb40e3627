"""A volume of a statement as the template takes it: every text worded, formatted and isolated. Pure."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from typing import Any, Final

from contracts.zones import midnight
from transaction_history.domain.statement import OpenHold, StatementFigures, StatementLine, TypeTotal
from transaction_history.rendering.printable import MAY_BREAK, printable
from transaction_history.rendering.wording import WORDINGS

Run = str | dict[str, str]
"""A text of the document's direction, or `{direction: text}`: one set apart, which may have places to break it."""
Text = Run | list[Run]
_DAY: Final = timedelta(days=1)
_PLACES: Final = re.compile(r"\{(\w+)\}")
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
_AMOUNT_LONG: Final = 16
"""Characters: with longer amounts two tables do not fit beside one another."""
_BETWEEN: Final = " \N{MIDDLE DOT} "


class Composer:
    """Makes the document of one volume, and counts what no font has: *unknown*."""

    def __init__(self, figures: StatementFigures, *, covered: Collection[AbstractSet[int]]) -> None:
        self.unknown = 0
        self._figures = figures
        self._covered = covered
        self._say = WORDINGS[figures.locale]

    def document(self, lines: Sequence[StatementLine], volume: int, volumes: int) -> dict[str, Any]:
        """Return volume *volume* of *volumes*, whose entries are *lines*; the first one has the summary, too."""
        say, figures = self._say, self._figures
        opening = lines[0].balance_after - lines[0].amount if lines else figures.opening
        closing = lines[-1].balance_after if lines else figures.closing
        heads = [self._ltr(figures.currency)]
        return {
            "lang": say.language,
            "name": f"{say.title} {figures.number}",
            "title": say.title,
            "number": self._filled(say.number, number=str(figures.number)),
            "issue": self._filled(say.issue, number=str(figures.issue)),
            "volume": self._filled(say.volume, number=str(volume), count=str(volumes)) if volumes > 1 else None,
            "wallet": self._ltr(str(figures.wallet_id)),
            "page": _PLACES.split(say.page)[::2],
            "facts": self._facts(),
            "summary": self._summary() if volume == 1 else None,
            "lines_heading": say.lines,
            "lines_head": [say.when, say.details, [f"{say.amount} ", *heads], [f"{say.balance} ", *heads]],
            "brought": [say.opening if volume == 1 else say.brought, self._amount(opening)],
            "lines": [self._line(line) for line in lines],
            "no_entries": say.no_entries,
            "carried": [say.closing if volume == volumes else say.carried, self._amount(closing)],
        }

    def _facts(self) -> list[tuple[str, Text]]:
        """Return what stands above everything: labels and values."""
        say, figures = self._say, self._figures
        begin = self._edge(figures.from_instant, figures.period_from, figures.period_from)
        end = self._edge(figures.to_instant, figures.period_to, figures.period_to - _DAY)
        named: list[tuple[str, Text]] = [] if figures.label is None else [(say.name, self._written(figures.label))]
        return [
            (say.owner, self._written(figures.owner_id)),
            *named,
            (say.wallet, self._ltr(str(figures.wallet_id))),
            (say.currency, self._ltr(figures.currency)),
            (say.period, self._filled(say.span, begin=begin, end=end)),
            (say.zone, self._ltr(figures.time_zone)),
            (say.closed, self._instant(figures.closed_at)),
        ]

    def _edge(self, instant: datetime, day: date, shown: date) -> str:
        """Return *shown*, the day that ends or begins with *instant*; with a time where *day* begins at another."""
        if midnight(self._figures.time_zone, day) == instant:
            return self._say.date_text(shown)
        return " ".join(self._say.instant_texts(instant, self._figures.time_zone))

    def _summary(self) -> dict[str, Any]:
        """Return what only the first volume has: sums, types and holds."""
        say, figures = self._say, self._figures
        sums = (figures.opening, figures.credits, -figures.debits, figures.closing, figures.fees)
        labels = (say.opening, say.credits, say.debits, say.closing, say.fees)
        shown = (*sums, *(amount for each in figures.by_type for amount in (each.credits, each.debits)))
        longest = max(len(say.amount_text(amount, figures.exponent)) for amount in shown)
        return {
            "heading": say.summary,
            "sums": [(label, self._amount(amount)) for label, amount in zip(labels, sums, strict=True)],
            "is_wide": longest > _AMOUNT_LONG,
            "types_heading": say.by_type,
            "types_head": [say.type, say.entries, say.credits, say.debits],
            "types": [self._total(each) for each in figures.by_type],
            "holds_heading": say.holds,
            "holds_head": [say.hold, say.placed, say.expires, say.amount],
            "holds": [self._hold(each) for each in figures.holds],
            "no_holds": say.no_holds,
            "holds_left_out": self._filled(say.holds_left_out, count=str(figures.holds_left_out))
            if figures.holds_left_out
            else None,
        }

    def _total(self, total: TypeTotal) -> list[Text]:
        name = self._written(self._say.type_text(total.transaction_type))
        return [name, str(total.entries), self._amount(total.credits), self._amount(-total.debits)]

    def _hold(self, hold: OpenHold) -> list[Text]:
        expires = "\N{EN DASH}" if hold.expires_at is None else self._instant(hold.expires_at)
        return [self._ltr(str(hold.hold_id)), self._instant(hold.placed_at), expires, self._amount(hold.amount)]

    def _line(self, line: StatementLine) -> list[Any]:
        """Return an entry: day, time, headline, further texts, amount, balance; the template orders its figures."""
        say, figures = self._say, self._figures
        return [
            *say.instant_texts(line.occurred_at, figures.time_zone),
            self._written(say.headline(line.transaction_type, line.event_type)),
            self._further(line),
            say.amount_text(line.amount, figures.exponent),
            say.amount_text(line.balance_after, figures.exponent),
        ]

    def _further(self, line: StatementLine) -> list[Text]:
        """Return what stands below an entry's headline: what people wrote, whom it was with, what is to be noted."""
        say = self._say
        labelled = [
            [f"{label}: ", self._written(text)]
            for label, text in ((say.counterparty, line.counterparty), (say.reference, line.reference))
            if text is not None
        ]
        if line.fee and line.fee != abs(line.amount):
            labelled.append([f"{say.with_fee}: ", self._amount(line.fee)])
        texts: list[Text] = [] if line.description is None else [self._written(line.description)]
        if labelled:
            texts.append(_joined([run for runs in labelled for run in (_BETWEEN, *runs)][1:]))
        if line.occurred_at < self._figures.from_instant:
            texts.append(say.late)
        return texts

    def _instant(self, instant: datetime) -> Run:
        return self._ltr(" ".join(self._say.instant_texts(instant, self._figures.time_zone)))

    def _amount(self, amount: int) -> Run:
        return self._ltr(self._say.amount_text(amount, self._figures.exponent))

    def _filled(self, text: str, **values: str) -> list[Run]:
        """Return *text* with *values* in their places, each ordered left to right."""
        parts = _PLACES.split(text)
        return [self._ltr(values[part]) if at % 2 else part for at, part in enumerate(parts)]

    def _ltr(self, text: str) -> Run:
        """Return *text* ordered left to right: an amount, an id, a date."""
        return text if self._say.direction == "ltr" else {"ltr": text}

    def _written(self, text: str) -> Run:
        """Return what people wrote as it can be set, in the direction of its first letter."""
        found = printable(text, self._covered)
        self.unknown += found.unknown
        directions = [kind for kind in map(unicodedata.bidirectional, found.text) if kind in {"L", *_RIGHT_TO_LEFT}]
        is_plain = self._say.direction == "ltr" and _RIGHT_TO_LEFT.isdisjoint(directions)
        if is_plain and MAY_BREAK not in found.text:
            return found.text
        return {"rtl" if directions and directions[0] in _RIGHT_TO_LEFT else "ltr": found.text}


def _joined(runs: list[Run]) -> Text:
    """Return *runs* as one text where none is set apart."""
    plain = [run for run in runs if isinstance(run, str)]
    return "".join(plain) if len(plain) == len(runs) else runs
