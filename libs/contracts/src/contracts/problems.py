"""The registry of problem codes: every error a client can meet, from which `docs/errors.md` is made.

A code is stable: clients branch on it. `type` of a problem document is `/problems/<code>`, served by every API.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ProblemCode:
    """One way a request can fail: its stable code, its HTTP status, a title and what a client should do about it."""

    code: str
    status: int
    title: str
    advice: str


_REGISTRY: Final[dict[str, ProblemCode]] = {}


def _register(code: str, status: int, title: str, advice: str) -> ProblemCode:
    assert code not in _REGISTRY, code
    problem = ProblemCode(code, status, title, advice)
    _REGISTRY[code] = problem
    return problem


# Requests that cannot be read.
MALFORMED_HTTP: Final = _register(
    "malformed_http", 400, "The request is not valid HTTP/1.1", "Send one request with a valid head and one Host."
)
REQUEST_TIMEOUT: Final = _register(
    "request_timeout", 408, "The request has not arrived in time", "Send head and body of a request without pauses."
)
URI_TOO_LONG: Final = _register("uri_too_long", 414, "The URL is too long", "Keep a URL within 16 KiB.")
HEAD_TOO_LARGE: Final = _register(
    "head_too_large", 431, "The request's head is too large", "Keep the headers of a request within 64 KiB."
)
REPEATED_HEADER: Final = _register(
    "repeated_header", 400, "A header that counts once is given twice", "Send the header named in header once."
)
MALFORMED_JSON: Final = _register(
    "malformed_json", 400, "The body is not valid JSON", "Send one JSON document in UTF-8, nested at most 32 deep."
)
UNCLEAR_PATH: Final = _register(
    "unclear_path",
    400,
    "The path has empty segments or dots",
    "Send it as documented, without `//`, `.` or `..`.",
)
INVALID_IDEMPOTENCY_KEY: Final = _register(
    "invalid_idempotency_key",
    400,
    "The Idempotency-Key is missing or malformed",
    "Send 1 to 255 visible ASCII characters; make a new key per command and keep it for its repeats.",
)
INVALID_CURSOR: Final = _register(
    "invalid_cursor", 400, "The cursor is malformed or of another query", "Start again from the first page."
)
INVALID_POSITION: Final = _register(
    "invalid_position", 400, "Min-Position is malformed", "Send the value of a Ledger-Position header unchanged."
)
INVALID_QUERY: Final = _register(
    "invalid_query", 400, "A query parameter is invalid", "Correct the parameters named in errors."
)
UNAUTHENTICATED: Final = _register(
    "unauthenticated", 401, "Credentials are missing or not valid", "Send valid credentials."
)
TOKEN_EXPIRED: Final = _register(
    "token_expired", 401, "The token has expired", "Ask the identity provider for a new token."
)
KEY_REVOKED: Final = _register(
    "key_revoked", 401, "The key is revoked or has ended", "Use the key that replaced it, or make a new one."
)
ADDRESS_NOT_ALLOWED: Final = _register(
    "address_not_allowed", 401, "The key may not be used from this address", "Send from an address in the key's ranges."
)
FORBIDDEN: Final = _register(
    "forbidden", 403, "The credentials do not allow this", "Ask for the scope the route needs."
)
NOT_FOUND: Final = _register(
    "not_found", 404, "There is no such resource", "Check the path; what belongs to somebody else is not found either."
)
WALLET_NOT_FOUND: Final = _register(
    "wallet_not_found", 404, "There is no such wallet", "Check the wallet ids; the idempotency key is still free."
)
WALLET_NOT_OPEN_YET: Final = _register(
    "wallet_not_open_yet", 404, "The wallet was opened after that instant", "Ask for an instant from opened_at on."
)
TRANSACTION_NOT_FOUND: Final = _register(
    "transaction_not_found", 404, "There is no such transaction", "Check the transaction id."
)
ENDPOINT_NOT_FOUND: Final = _register(
    "endpoint_not_found", 404, "There is no such webhook endpoint", "Check the endpoint id."
)
DELIVERY_NOT_FOUND: Final = _register(
    "delivery_not_found", 404, "There is no such delivery", "Check the delivery id; old ones are not kept."
)
TENANT_NOT_FOUND: Final = _register("tenant_not_found", 404, "There is no such tenant", "Check the tenant id.")
ISSUER_NOT_FOUND: Final = _register("issuer_not_found", 404, "There is no such issuer", "Check the issuer id.")
SERVICE_ACCOUNT_NOT_FOUND: Final = _register(
    "service_account_not_found", 404, "There is no such service account", "Check the service account id."
)
API_KEY_NOT_FOUND: Final = _register("api_key_not_found", 404, "There is no such API key", "Check the key id.")
SUBJECT_NOT_FOUND: Final = _register(
    "subject_not_found",
    404,
    "There can be no such subject",
    "Write <issuer's name>|<sub> with an issuer of the tenant, or svc:<service account id>; encode it in the path.",
)
HOLD_NOT_FOUND: Final = _register("hold_not_found", 404, "There is no such hold", "Check the hold id.")
OWNER_NOT_FOUND: Final = _register("owner_not_found", 404, "There is no such owner", "Check the owner id.")
QUOTE_NOT_FOUND: Final = _register("quote_not_found", 404, "There is no such quote", "Check the quote id.")
METHOD_NOT_ALLOWED: Final = _register(
    "method_not_allowed", 405, "The method is not allowed here", "Use a method named in the Allow header."
)
BODY_TOO_LARGE: Final = _register(
    "body_too_large", 413, "The body is too large", "Keep a body within 64 KiB, a batch within 2 MiB."
)
UNSUPPORTED_MEDIA_TYPE: Final = _register(
    "unsupported_media_type", 415, "The content type is not JSON", "Send Content-Type: application/json."
)
INVALID_REQUEST: Final = _register(
    "invalid_request",
    422,
    "The request has invalid fields",
    "Correct the fields named in errors; the key is still free.",
)
IDEMPOTENCY_KEY_REUSED: Final = _register(
    "idempotency_key_reused",
    422,
    "The Idempotency-Key was used for another request",
    "Use a new key for a new request; repeat a request with its own key and body.",
)
WEBHOOK_URL_REFUSED: Final = _register(
    "webhook_url_refused",
    422,
    "Webhooks are not sent to this URL",
    "Give an https URL with a public host; the code in errors names what is wrong.",
)

# Refusals by a rule: stored under the key and replayed.
INSUFFICIENT_FUNDS: Final = _register(
    "insufficient_funds", 409, "The available balance is too low", "See available; try again with a new key."
)
PAYEE_REFUSES: Final = _register(
    "payee_refuses", 409, "The payee does not take the payment", "Ask the payee; then try with a new key."
)
WALLET_FROZEN: Final = _register(
    "wallet_frozen", 409, "The wallet is restricted", "Have the restriction lifted, then try with a new key."
)
WALLET_CLOSED: Final = _register("wallet_closed", 409, "The wallet is closed", "Use another wallet.")
WALLET_NOT_EMPTY: Final = _register(
    "wallet_not_empty", 409, "Only an empty wallet can be closed", "Move the balance and settle the holds first."
)
WALLET_NOT_FROZEN: Final = _register(
    "wallet_not_frozen", 409, "The wallet has no such restriction", "Nothing is to be lifted."
)
DECISION_SUPERSEDED: Final = _register(
    "decision_superseded",
    409,
    "An operator changed the restrictions since the decision was judged",
    "Nothing: the operator's word stands. Only decisions of services are refused with it, never a client's command.",
)
CURRENCY_MISMATCH: Final = _register(
    "currency_mismatch", 409, "The currencies differ", "Use the wallet's currency, or a conversion."
)
BALANCE_OVERFLOW: Final = _register(
    "balance_overflow", 409, "The balance would become too large", "Split the balance over several wallets."
)
HOLD_SETTLED: Final = _register("hold_settled", 409, "Nothing is held by it any more", "Place another hold.")
HOLD_EXPIRED: Final = _register("hold_expired", 409, "The hold has expired", "Place another hold.")
HOLD_NOT_DUE: Final = _register(
    "hold_not_due", 409, "The hold does not end then", "Nothing: the platform's own command met a hold that was moved."
)
HOLD_EXPIRY_OUT_OF_RANGE: Final = _register(
    "hold_expiry_out_of_range",
    409,
    "The hold would end in the past, sooner than it does, or too late",
    "Choose a time after now, and after the one it has, within max_days of its placing.",
)
POLICY_VERSION_CONFLICT: Final = _register(
    "policy_version_conflict",
    409,
    "The policy has been changed since",
    "Read the policy again, see what was changed, and send its version.",
)
UNKNOWN_TIER: Final = _register(
    "unknown_tier", 409, "The policy has no such tier", "Add the tier to the policy first, or name another."
)
LIMIT_EXCEEDED: Final = _register(
    "limit_exceeded", 409, "A limit is reached", "See remaining, and resets_at; try again with a new key."
)
OVERDRAFT_IN_USE: Final = _register(
    "overdraft_in_use", 409, "More of the credit line is in use", "See used; set a limit that covers it."
)
FEE_EXCEEDS_AMOUNT: Final = _register(
    "fee_exceeds_amount", 409, "The payee's fee is more than it would get", "Send more than fee, or nothing."
)
CAPTURE_EXCEEDS_HOLD: Final = _register(
    "capture_exceeds_hold", 409, "More would be captured than is held", "See remaining; increase the hold first."
)
INCREASE_LIMIT_REACHED: Final = _register(
    "increase_limit_reached", 409, "The hold was increased a hundred times", "Place another hold."
)
CAPTURE_LIMIT_REACHED: Final = _register(
    "capture_limit_reached", 409, "The hold was captured as often as allowed", "Void it, and place another."
)
SAME_WALLET: Final = _register(
    "same_wallet", 409, "Payer and payee are the same wallet", "Name another payee, or void the hold."
)
DISTRIBUTION_MISMATCH: Final = _register(
    "distribution_mismatch",
    422,
    "The destinations do not come to the amount",
    "Have amounts and shares come to all of it, or give one destination the rest; then try with a new key.",
)
SHARE_TOO_SMALL: Final = _register(
    "share_too_small", 422, "A destination would get nothing", "Leave it out, or make its share larger."
)
TRANSACTION_NOT_REFUNDABLE: Final = _register(
    "transaction_not_refundable",
    409,
    "The transaction is none that can be taken back like this",
    "Refund or reverse deposits, withdrawals, transfers, payments, captures and conversions; charge back deposits.",
)
TRANSACTION_REVERSED: Final = _register(
    "transaction_reversed", 409, "The transaction was reversed", "Nothing: all of it went back."
)
REFUND_EXCEEDS_TRANSACTION: Final = _register(
    "refund_exceeds_transaction", 409, "More would go back than is left of the transaction", "See refundable."
)
REFUND_LIMIT_REACHED: Final = _register(
    "refund_limit_reached", 409, "The transaction was refunded as often as allowed", "Make a transfer instead."
)
QUOTE_EXPIRED: Final = _register("quote_expired", 409, "The quote has expired", "Ask for another quote.")
QUOTE_USED: Final = _register(
    "quote_used", 409, "The quote was used for another conversion", "Ask for another quote; one is for one conversion."
)
PAIR_NOT_OFFERED: Final = _register(
    "pair_not_offered",
    422,
    "The policy does not let these currencies be converted",
    "Choose another pair, or add it to the policy's section fx; then try with a new key.",
)
QUOTE_AMOUNT_OUT_OF_RANGE: Final = _register(
    "quote_amount_out_of_range",
    422,
    "An amount of the conversion comes to nothing, or to too much",
    "Choose an amount so that source_amount and destination_amount are ones; then try with a new key.",
)
BATCH_REFUSED: Final = _register(
    "batch_refused", 409, "The atomic batch was refused as a whole", "See index and problem; nothing was done."
)
ENDPOINT_LIMIT_REACHED: Final = _register(
    "endpoint_limit_reached", 409, "There are as many endpoints as allowed", "Delete one, then try with a new key."
)
ENDPOINT_NOT_ACTIVE: Final = _register(
    "endpoint_not_active", 409, "The endpoint is paused or disabled", "Resume it, then try with a new key."
)
ISSUER_EXISTS: Final = _register(
    "issuer_exists",
    409,
    "The name, or the issuer with its audience, is registered already",
    "Choose another name, or change or delete what is registered; names are never used again.",
)
ISSUER_LIMIT_REACHED: Final = _register(
    "issuer_limit_reached", 409, "There are as many issuers as allowed", "Delete one, then try with a new key."
)
SERVICE_ACCOUNT_LIMIT_REACHED: Final = _register(
    "service_account_limit_reached",
    409,
    "There are as many service accounts as allowed",
    "Delete one, then try with a new key.",
)
API_KEY_LIMIT_REACHED: Final = _register(
    "api_key_limit_reached",
    409,
    "The service account has as many live keys as allowed",
    "Revoke one or wait for its end, then try with a new idempotency key.",
)
API_KEY_NOT_LIVE: Final = _register(
    "api_key_not_live", 409, "The API key has ended", "Make a new key of its service account."
)
OWN_TENANT: Final = _register(
    "own_tenant", 409, "The tenant is the caller's own", "Have an operator of another tenant do it."
)
NO_KEY_SET_URL: Final = _register(
    "no_key_set_url", 409, "The issuer's keys were given, not fetched", "Give the new keys by changing the issuer."
)
IN_FLIGHT: Final = _register(
    "in_flight", 409, "The same key is being worked on", "Repeat with the same key after retry_after_s."
)
POSITION_NOT_REACHED: Final = _register(
    "position_not_reached", 409, "The read model has not reached Min-Position", "Repeat after retry_after_s."
)

# Jobs of the history, and their files.
JOB_NOT_FOUND: Final = _register("job_not_found", 404, "There is no such job", "Check the id.")
EXPORT_NOT_FOUND: Final = _register("export_not_found", 404, "There is no such export", "Check the id.")
REPORT_NOT_FOUND: Final = _register("report_not_found", 404, "There is no such report", "Check the id.")
TOO_MANY_ROWS: Final = _register(
    "too_many_rows", 400, "There are more rows than one answer has", "Narrow them, or have an export made."
)
TOO_MANY_JOBS: Final = _register(
    "too_many_jobs", 429, "The tenant has as many jobs waiting as it may", "Repeat after retry_after_s."
)
JOB_ENDED: Final = _register("job_ended", 409, "The job has ended", "There is nothing left to cancel.")
FILE_NOT_READY: Final = _register(
    "file_not_ready",
    409,
    "The file is not made yet",
    "Repeat when the job has succeeded; a statement's after retry_after_s.",
)
NO_FILE: Final = _register("no_file", 409, "No file was made", "Read the failure; begin another job.")
FILE_EXPIRED: Final = _register("file_expired", 410, "The job's file is not kept any longer", "Begin another job.")
RANGE_NOT_SATISFIABLE: Final = _register(
    "range_not_satisfiable", 416, "The file ends before the range begins", "Ask for a range within size_bytes."
)
LINK_NOT_FOUND: Final = _register("link_not_found", 404, "There is no such link", "Ask for another link.")
LINK_ENDED: Final = _register("link_ended", 410, "The link has expired or was revoked", "Ask for another link.")

# Statements.
STATEMENT_NOT_FOUND: Final = _register("statement_not_found", 404, "There is no such statement", "Check the id.")
PERIOD_NOT_OVER: Final = _register(
    "period_not_over",
    409,
    "The period has not ended, or not all of it has arrived",
    "Ask for an earlier end, or repeat after retry_after_s.",
)
PERIOD_CLOSED: Final = _register(
    "period_closed", 409, "A statement covers the period already", "Ask for an end behind ended_at."
)
PERIOD_TOO_LONG: Final = _register(
    "period_too_long", 409, "The period has more entries than a request closes", "Ask for an earlier end."
)
TOO_MANY_ISSUES: Final = _register(
    "too_many_issues", 409, "The statement was told anew as often as it may be", "Fetch one of its issues."
)

# The world failed.
RATE_LIMITED: Final = _register("rate_limited", 429, "Too many requests", "Repeat after retry_after_s.")
INTERNAL_ERROR: Final = _register(
    "internal_error", 500, "The server has a bug", "Repeat with the same key; tell support the request id."
)
ACCESS_STALE: Final = _register(
    "access_stale", 503, "Nothing was heard of identities for too long", "Repeat after retry_after_s."
)
OVERLOADED: Final = _register(
    "overloaded", 503, "The service is at its limit", "Nothing was done; repeat with the same key after retry_after_s."
)
UNAVAILABLE: Final = _register(
    "unavailable", 503, "The service cannot reach what it needs", "Repeat with the same key after retry_after_s."
)
GATEWAY_UNAVAILABLE: Final = _register(
    "gateway_unavailable",
    502,
    "The gateway reached no instance that answered",
    "Repeat with the same key after the seconds of Retry-After.",
)
GATEWAY_TIMEOUT: Final = _register(
    "gateway_timeout",
    504,
    "No instance answered the gateway in time",
    "Repeat with the same key after the seconds of Retry-After, to learn whether it happened.",
)
HALTED: Final = _register(
    "halted",
    503,
    "The service is not known to be whole",
    "Nothing was done; repeat with the same key after retry_after_s. An operator may have to decide first.",
)
OUTCOME_UNKNOWN: Final = _register(
    "outcome_unknown", 503, "Whether the command happened is not known yet", "Repeat with the same key to learn it."
)
RATE_UNAVAILABLE: Final = _register(
    "rate_unavailable",
    503,
    "There is no fresh rate of the pair",
    "Nothing was done; repeat with the same key after retry_after_s.",
)
WALLET_AHEAD_OF_CLOCK: Final = _register(
    "wallet_ahead_of_clock",
    503,
    "The wallet's newest event is ahead of the ledger's clock",
    "Nothing was done; operators see why. Repeat with the same key later.",
)
WALLET_PARKED: Final = _register(
    "wallet_parked", 503, "The wallet's read model is parked", "Operators were alarmed; repeat later."
)

PROBLEM_CODES: Final[dict[str, ProblemCode]] = _REGISTRY
"""Every code, in the order of the page."""
