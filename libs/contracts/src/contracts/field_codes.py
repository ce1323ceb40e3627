"""The codes of what is wrong with a field, in the order of the page."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class FieldCode:
    """What is wrong with one field, as the `errors` list of an `invalid_request` or `invalid_query` names it."""

    code: str
    meaning: str


FIELD_CODES: Final[dict[str, FieldCode]] = {
    field.code: field
    for field in (
        FieldCode("missing", "The field is required."),
        FieldCode("unknown_field", "The field is not known here; unknown fields are refused."),
        FieldCode("invalid_type", "The value has the wrong JSON type; amounts are strings, not numbers."),
        FieldCode("invalid_value", "The value is not one of those allowed."),
        FieldCode("invalid_id", "The value is not an id in its canonical form."),
        FieldCode("invalid_text", "The text holds a NUL or another character that is not allowed."),
        FieldCode("too_short", "The value is shorter than allowed."),
        FieldCode("too_long", "The value is longer than allowed."),
        FieldCode("too_many", "There are more members than allowed."),
        FieldCode("too_few", "There are fewer members than needed."),
        FieldCode("invalid_amount", "The amount is not a plain decimal string."),
        FieldCode("too_many_decimals", "The amount has more decimals than its currency."),
        FieldCode("amount_not_positive", "The amount is zero."),
        FieldCode("amount_too_large", "The amount is beyond 9·10¹⁴ minor units."),
        FieldCode("unknown_currency", "The currency is not known."),
        FieldCode("unknown_column", "The dataset has no such column."),
        FieldCode("unknown_filter", "The dataset has no such filter."),
        FieldCode("unknown_time_zone", "There is no such IANA time zone."),
        FieldCode("same_wallet", "Source and destination are the same wallet."),
        FieldCode("same_currency", "Source and destination are of the same currency."),
        FieldCode("duplicate_pair", "The same pair of currencies stands twice."),
        FieldCode("one_amount", "The source's amount or the destination's: one of both is given."),
        FieldCode("contradiction", "The rule cannot be one, alone or beside those before it."),
        FieldCode("too_large", "The section is longer than allowed."),
        FieldCode("one_measure", "A part is an amount, a share or the rest: one of them is given."),
        FieldCode("duplicate_destination", "The same payee stands twice."),
        FieldCode("parts_mismatch", "The parts come to another amount than is given."),
        FieldCode("one_destination", "A payee is a wallet or outside: one of both is given."),
        FieldCode("duplicate_key", "The same idempotency key stands twice in one batch."),
        FieldCode("inner_key", "A command of an atomic batch has no key of its own."),
        FieldCode("unknown_event_type", "The event type is not known, or not delivered to webhooks."),
        FieldCode("url_malformed", "The URL is not absolute, too long, or holds characters that must be encoded."),
        FieldCode("url_scheme", "The URL is not https."),
        FieldCode("url_userinfo", "The URL holds a user or a password."),
        FieldCode("url_host", "The host is no full DNS name in ASCII and no address in its usual form."),
        FieldCode("url_port", "The port is neither 443 nor 1024 to 65535."),
        FieldCode("url_unresolvable", "The host has no address."),
        FieldCode("url_forbidden_address", "The host leads to an address that is not public."),
        FieldCode("unknown_scope", "There is no such scope."),
        FieldCode("scope_not_for_kind", "A caller of that kind may not hold the scope."),
        FieldCode("invalid_name", "The name is none that is allowed here, or is reserved."),
        FieldCode("range_too_many", "There are more address ranges than allowed."),
        FieldCode("range_malformed", "The value is no address, and no address with a prefix in bits."),
        FieldCode("range_zone", "An address range has no zone."),
        FieldCode("range_host_bits", "Bits beyond the range's prefix are set."),
        FieldCode("range_mapped", "The range has IPv4-mapped IPv6 addresses: write IPv4."),
        FieldCode("range_everywhere", "The range holds every address."),
        FieldCode("key_set_malformed", "The key set is not a JSON object with a list `keys` of objects."),
        FieldCode("key_set_too_large", "The key set is larger than 256 KiB."),
        FieldCode("key_set_no_keys", "The key set has no key that tokens are verified with."),
        FieldCode("key_set_too_many_keys", "The key set has more keys than allowed."),
        FieldCode("key_set_private_key", "The key set holds a private or symmetric key; make new ones."),
        FieldCode("key_set_no_algorithm", "An RSA key of the set does not tell its `alg`."),
        FieldCode("key_set_no_kid", "A key of the set has no `kid`."),
        FieldCode("key_set_doubled_kid", "Two keys of the set have one `kid`."),
        FieldCode("key_set_weak_key", "A key of the set is too weak, or too long."),
        FieldCode("key_set_invalid_key", "A key of the set is none."),
        FieldCode("not_supported", "The field is reserved and not supported yet."),
    )
}
