"""How a statement is worded in each locale: labels, dates and amounts. Pure.

The tables are the repository's own: a library's locale data would change with its releases, and with it the bytes of
statements that were handed out long ago.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from contracts.zones import zone_named

MINUS: Final = "\N{MINUS SIGN}"
"""Not a hyphen: it is as wide as a digit, and is read out."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The words of one locale; `{…}` in a text is filled in. *day* has `{day}`, `{month}`, `{name}` and `{year}`."""

    language: str
    direction: str
    decimal: str
    group: str
    day: str
    title: str
    wallet: str
    owner: str
    name: str
    currency: str
    period: str
    span: str
    zone: str
    closed: str
    summary: str
    opening: str
    credits: str
    debits: str
    fees: str
    closing: str
    by_type: str
    type: str
    entries: str
    holds: str
    no_holds: str
    hold: str
    placed: str
    expires: str
    holds_left_out: str
    when: str
    details: str
    amount: str
    balance: str
    brought: str
    carried: str
    lines: str
    no_entries: str
    reference: str
    counterparty: str
    with_fee: str
    late: str
    number: str
    issue: str
    volume: str
    page: str
    types: Mapping[str, str]
    events: Mapping[str, str]

    def amount_text(self, amount: int, exponent: int) -> str:
        """Return *amount*, in minor units, with all decimals and its thousands apart; only a minus is shown."""
        whole, part = divmod(abs(amount), 10**exponent)
        decimals = f"{self.decimal}{part:0{exponent}d}" if exponent else ""
        return f"{MINUS if amount < 0 else ''}{whole:,}".replace(",", self.group) + decimals

    def date_text(self, day: date) -> str:
        """Return *day* as the locale writes it."""
        return self.day.format(day=day.day, month=day.month, name=_MONTHS[day.month - 1], year=day.year)

    def instant_texts(self, instant: datetime, zone: str) -> tuple[str, str]:
        """Return the local day and the time of *instant*; where clocks show a time twice, with the offset."""
        local = instant.astimezone(zone_named(zone))
        is_repeated = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
        clock = f"{local:%H:%M:%S} {local:%z}" if is_repeated else f"{local:%H:%M:%S}"
        return self.date_text(local.date()), clock

    def type_text(self, transaction_type: str) -> str:
        """Return the name of a type of transaction: its code where it has none."""
        return self.types.get(transaction_type, transaction_type)

    def headline(self, transaction_type: str, event_type: str) -> str:
        """Return what happened: what the event is called where it tells more than the transaction's type."""
        named = self.events.get(event_type)
        return self.type_text(transaction_type) if named is None else f"{named} ({self.type_text(transaction_type)})"


_ENGLISH: Final = Wording(
    language="en",
    direction="ltr",
    decimal=".",
    group=",",
    day="{day} {name} {year}",
    title="Statement of account",
    wallet="Wallet",
    owner="Owner",
    name="Name",
    currency="Currency",
    period="Period",
    span="{begin} to {end}",
    zone="Time zone",
    closed="Closed",
    summary="Summary",
    opening="Opening balance",
    credits="Credits",
    debits="Debits",
    fees="Fees included",
    closing="Closing balance",
    by_type="By type",
    type="Type",
    entries="Entries",
    holds="Open holds",
    no_holds="No hold was open.",
    hold="Hold",
    placed="Placed",
    expires="Expires",
    holds_left_out="Further open holds, not listed: {count}",
    when="Date",
    details="Details",
    amount="Amount",
    balance="Balance",
    brought="Balance brought forward",
    carried="Balance carried forward",
    lines="Entries",
    no_entries="No entries in this period.",
    reference="Reference",
    counterparty="Counterparty",
    with_fee="Fee included",
    late="Entered after its period was closed",
    number="Statement {number}",
    issue="Issue {number}",
    volume="Volume {number} of {count}",
    page="Page {number} of {count}",
    types=MappingProxyType(
        {
            "deposit": "Deposit",
            "withdrawal": "Withdrawal",
            "transfer": "Transfer",
            "payment": "Payment",
            "capture": "Captured hold",
            "conversion": "Currency conversion",
            "refund": "Refund",
            "reversal": "Reversal",
            "chargeback": "Chargeback",
        }
    ),
    events=MappingProxyType({"wallet.fee_charged.v1": "Fee", "wallet.fee_returned.v1": "Fee returned"}),
)
_GERMAN: Final = Wording(
    language="de",
    direction="ltr",
    decimal=",",
    group=".",
    day="{day:02d}.{month:02d}.{year}",
    title="Kontoauszug",
    wallet="Wallet",
    owner="Inhaber",
    name="Bezeichnung",
    currency="Währung",
    period="Zeitraum",
    span="{begin} bis {end}",
    zone="Zeitzone",
    closed="Abgeschlossen",
    summary="Zusammenfassung",
    opening="Anfangssaldo",
    credits="Gutschriften",
    debits="Belastungen",
    fees="Darin Gebühren",
    closing="Endsaldo",
    by_type="Nach Art",
    type="Art",
    entries="Buchungen",
    holds="Offene Reservierungen",
    no_holds="Es war nichts reserviert.",
    hold="Reservierung",
    placed="Angelegt",
    expires="Läuft ab",
    holds_left_out="Weitere offene Reservierungen, nicht aufgeführt: {count}",
    when="Datum",
    details="Vorgang",
    amount="Betrag",
    balance="Saldo",
    brought="Saldovortrag",
    carried="Übertrag",
    lines="Buchungen",
    no_entries="Keine Buchungen in diesem Zeitraum.",
    reference="Referenz",
    counterparty="Gegenseite",
    with_fee="Darin Gebühr",
    late="Nach Abschluss des eigenen Zeitraums gebucht",
    number="Auszug {number}",
    issue="Ausgabe {number}",
    volume="Band {number} von {count}",
    page="Seite {number} von {count}",
    types=MappingProxyType(
        {
            "deposit": "Einzahlung",
            "withdrawal": "Auszahlung",
            "transfer": "Überweisung",
            "payment": "Zahlung",
            "capture": "Eingelöste Reservierung",
            "conversion": "Währungsumtausch",
            "refund": "Erstattung",
            "reversal": "Storno",
            "chargeback": "Rückbelastung",
        }
    ),
    events=MappingProxyType({"wallet.fee_charged.v1": "Gebühr", "wallet.fee_returned.v1": "Gebühr zurück"}),
)
_ARABIC: Final = Wording(
    language="ar",
    direction="rtl",
    decimal=".",
    group=",",
    day="{day:02d}/{month:02d}/{year}",
    title="كشف حساب",
    wallet="المحفظة",
    owner="صاحب المحفظة",
    name="الاسم",
    currency="العملة",
    period="الفترة",
    span="من {begin} إلى {end}",
    zone="المنطقة الزمنية",
    closed="تاريخ الإغلاق",
    summary="الملخص",
    opening="الرصيد الافتتاحي",
    credits="المبالغ الدائنة",
    debits="المبالغ المدينة",
    fees="منها رسوم",
    closing="الرصيد الختامي",
    by_type="حسب النوع",
    type="النوع",
    entries="عدد القيود",
    holds="المبالغ المحجوزة",
    no_holds="لا توجد مبالغ محجوزة.",
    hold="الحجز",
    placed="تاريخ الحجز",
    expires="تاريخ الانتهاء",
    holds_left_out="حجوزات أخرى غير مدرجة: {count}",
    when="التاريخ",
    details="البيان",
    amount="المبلغ",
    balance="الرصيد",
    brought="رصيد منقول",
    carried="رصيد مرحّل",
    lines="القيود",
    no_entries="لا توجد قيود في هذه الفترة.",
    reference="المرجع",
    counterparty="الطرف الآخر",
    with_fee="منها رسوم",
    late="قُيّد بعد إغلاق فترته",
    number="كشف رقم {number}",
    issue="الإصدار {number}",
    volume="الجزء {number} من {count}",
    page="صفحة {number} من {count}",
    types=MappingProxyType(
        {
            "deposit": "إيداع",
            "withdrawal": "سحب",
            "transfer": "تحويل",
            "payment": "دفع",
            "capture": "تحصيل مبلغ محجوز",
            "conversion": "تحويل عملة",
            "refund": "استرداد",
            "reversal": "إلغاء عملية",
            "chargeback": "رد مبلغ مدفوع",
        }
    ),
    events=MappingProxyType({"wallet.fee_charged.v1": "رسوم", "wallet.fee_returned.v1": "رسوم معادة"}),
)
WORDINGS: Final[Mapping[str, Wording]] = MappingProxyType(
    {wording.language: wording for wording in (_ENGLISH, _GERMAN, _ARABIC)}
)
"""By locale."""
