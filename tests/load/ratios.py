"""The ratios: what is compared from one run and one machine to the next, and the floors some of them have."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.load.plan import KINDS, TRACED_SHARE
from tests.load.series import Series

Value = float | None


def ratios(series: Series) -> dict[str, float]:
    """Return the ratios whose both sides were measured, of the medians, best setting to best setting."""
    http = series.best("http uniform")
    named: dict[str, Value] = {
        "committer_hot_vs_uniform": _share(series.best("committer hot"), series.best("committer uniform")),
        "mixed_ahead_vs_locked": _share(series.median("mixed ahead"), series.median("mixed locked")),
        "mixed_money_ahead_vs_locked": series.paired("mixed-money ahead", "mixed-money locked"),
        "expired_vs_transfers": series.paired("due expired", "due transfers"),
        "cost_among_open_holds": series.paired("due among-calm", "due among-crowded"),
        "million_ahead_vs_locked": _share(series.median("million ahead"), series.median("million locked")),
        "http_vs_fastapi_echo": _share(http, series.best("echo uniform")),
        "http_traced_vs_untraced": series.paired(f"traced {TRACED_SHARE:.0%} uniform", "traced 0% uniform"),
        "http_watched_vs_unwatched": series.paired("traced and scraped uniform", "traced 0% uniform"),
        "http_through_gateway_vs_direct": series.paired("gateway through", "gateway direct"),
        "batch_vs_pgbench_uniform": _share(
            series.best("batches uniform"), series.best("pgbench several_statements uniform")
        ),
        "two_instances_vs_one": _share(series.median("instances uniform 2 ahead"), http),
        "idle_vs_pgbench_function": _share(series.median("idle pgbench"), series.median("idle http")),
        "cost_1e7_vs_1e4": _share(series.median("sizes 10000"), series.median("sizes 10000000")),
        "cost_1e6_vs_1e4": _share(series.median("sizes 10000"), series.median("sizes 1000000")),
        "forgotten_vs_committed": _share(series.median("maintenance forgotten"), series.best("committer uniform")),
        "verified_vs_unverified": series.paired("maintenance verified", "maintenance unverified"),
        "folded_vs_hot_rows": _share(series.median("maintenance folded"), _doubled(series.best("committer hot"))),
        "standby_replayed_vs_new": _share(series.median("standby new"), series.median("standby replayed")),
        "standby_relay_vs_without": _share(
            series.median("standby relay barrier"), series.median("standby relay without")
        ),
    }
    for side in ("fees", "holds", "payments", "conversions", "limits", "limits-owner"):
        named[f"{side.replace('-', '_')}_vs_plain"] = series.paired(f"money {side}", "money plain")
    named["limits_hot_vs_plain_hot"] = series.paired("money limits-hot", "money hot")
    for side in ("key", "users", "fresh"):
        named[f"admitted_{side}_vs_open"] = series.paired(f"access {side}", "access open")
    named["four_instances_limited_vs_unlimited"] = series.paired("access limited", "access unlimited")
    for tenants in ("one", "hundred"):
        named[f"reads_secured_vs_plain_{tenants}"] = series.paired(
            f"access secured {tenants}", f"access plain {tenants}"
        )
    for kind in KINDS:
        named |= _of_kind(series, kind)
    named |= _of_the_past(series)
    return {name: round(value, 2) for name, value in sorted(named.items()) if value is not None}


def _of_kind(series: Series, kind: str) -> dict[str, Value]:
    committer, http = series.best(f"committer {kind}"), series.best(f"http {kind}")
    several = series.best(f"pgbench several_statements {kind}")
    untraced = series.median(f"traced 0% {kind}")
    return {
        f"ahead_vs_locked_{kind}": _share(
            series.median(f"committer {kind} ahead"), series.median(f"committer {kind} locked")
        ),
        f"committer_vs_pgbench_{kind}": _share(committer, several),
        f"committer_vs_pgbench_function_{kind}": _share(committer, series.best(f"pgbench one_function {kind}")),
        f"http_vs_pgbench_{kind}": _share(http, several),
        f"http_vs_one_tx_{kind}": _share(http, series.best(f"one_transaction {kind}")),
        f"two_instances_ahead_vs_locked_{kind}": _share(
            series.median(f"instances {kind} 2 ahead"), series.median(f"instances {kind} 2 locked")
        ),
        f"http_all_traced_vs_untraced_{kind}": _share(series.median(f"traced 100% {kind}"), untraced),
    }


def _of_the_past(series: Series) -> dict[str, Value]:
    """Return what each question costs on many entries ÷ on few, the worst of them, and a busy wallet ÷ a quiet one."""
    growths = {
        f"history_{name.removesuffix(' few').replace('-', '_')}_growth": series.paired(
            f"history {name}", f"history {name.removesuffix('few')}many"
        )
        for name in series.medians("history")
        if name.endswith(" few")
    }
    return {
        **growths,
        "history_growth_max": max((value for value in growths.values() if value is not None), default=None),
        "history_busy_vs_quiet": series.paired("history balance-quiet many", "history balance-busy many"),
    }


def _doubled(transfers: Value) -> Value:
    """Return the journal rows a second of so many transfers a second, were all of them in one shard."""
    return None if transfers is None else 2 * transfers


def _share(above: Value, below: Value) -> Value:
    return None if above is None or below is None else above / below


@dataclass(frozen=True, slots=True)
class Floor:
    """What a ratio or figure must at least be (or *at most*), and what it tells."""

    name: str
    bound: float
    tells: str
    bounded_by: str
    is_ceiling: bool = False

    def holds(self, value: float) -> bool:
        """Return whether *value* keeps to it."""
        return value <= self.bound if self.is_ceiling else value >= self.bound


_COMMITTER = "the committer's core: deciding, encoding and the driver take most of it (see its cells' µs of CPU)"
_AHEAD = (
    "what the memory lacks: a batch that names a wallet it does not hold, or repeats a key, is decided on locked rows"
)
_HTTP = "the API process's core: parsing, deciding, encoding and the driver share it (see the µs per command)"
_PLATFORM = (
    "the machine's cores, which every process of the platform and the generator share (see what takes the cores)"
)
_GUARDS = "the API process's core: the digest and the look-up of the credential, its buckets, two more headers"
_ROWS = "one round trip more where a connection is lent to another tenant than the last"
_PAGES = "pages of indexes and rows, more of which are not in PostgreSQL's memory"
_ANSWERS = "the API process's core: making the rows' JSON takes most of it"
_DRAIN = "the cores, which relay, projector, broker and their databases share"

FLOORS = (
    Floor("committer_vs_pgbench_uniform", 8, "committer ÷ pgbench, several statements", _COMMITTER),
    Floor("committer_vs_pgbench_hot", 20, "the same on one hot wallet", _COMMITTER),
    Floor("committer_hot_vs_uniform", 0.9, "a hot wallet ÷ a thousand", _COMMITTER),
    Floor("ahead_vs_locked_uniform", 1.3, "decided ahead ÷ decided on locked rows", _COMMITTER),
    Floor("mixed_share_ahead", 0.95, "batches of mixed commands that were decided ahead ÷ all of them", _AHEAD),
    Floor("mixed_ahead_vs_locked", 1.25, "mixed commands decided ahead ÷ decided on locked rows", _AHEAD),
    Floor("mixed_money_share_ahead", 0.95, "the same of everything that moves money", _AHEAD),
    Floor("mixed_money_ahead_vs_locked", 1.25, "the same of everything that moves money", _AHEAD),
    Floor("million_ahead_vs_locked", 1.15, "the same between a million wallets", _AHEAD),
    Floor("fees_vs_plain", 0.6, "transfers with a payer's fee, of four entries ÷ plain ones", _COMMITTER),
    Floor("holds_vs_plain", 0.75, "holds placed and captured, per command ÷ plain transfers", _COMMITTER),
    Floor("conversions_vs_plain", 0.45, "quotes and conversions, per command ÷ plain transfers", _COMMITTER),
    Floor(
        "expired_vs_transfers", 0.6, "holds that end by themselves, a hundred thousand at once ÷ transfers", _COMMITTER
    ),
    Floor(
        "cost_among_open_holds",
        1.1,
        "cost of a hold placed and captured among a million open ones ÷ among a thousand",
        "pages of the rows' indexes",
        is_ceiling=True,
    ),
    Floor("limits_vs_plain", 0.9, "transfers under day and month limits of every wallet ÷ plain ones", _COMMITTER),
    Floor("limits_hot_vs_plain_hot", 0.9, "the same on one hot wallet", _COMMITTER),
    Floor("limits_owner_vs_plain", 0.75, "the same under limits of the one owner of all wallets", _COMMITTER),
    Floor("payments_vs_plain", 1.2, "entries of payments to ten ÷ of plain transfers", _COMMITTER),
    Floor("http_vs_pgbench_uniform", 2.8, "single transfers over HTTP ÷ pgbench, several statements", _HTTP),
    Floor("http_vs_pgbench_hot", 7.5, "the same on one hot wallet", _HTTP),
    Floor("http_vs_one_tx_uniform", 5, "÷ the same handler with one transaction per request", _HTTP),
    Floor("http_vs_one_tx_hot", 9, "the same on one hot wallet", _HTTP),
    Floor("http_vs_fastapi_echo", 1, "÷ FastAPI that only reads and writes the bodies", _HTTP),
    Floor("batch_vs_pgbench_uniform", 5, "batches over HTTP ÷ pgbench, several statements", _HTTP),
    Floor("http_traced_vs_untraced", 0.95, "one request in a hundred traced ÷ none", _HTTP),
    Floor("http_watched_vs_unwatched", 0.95, "the same, and asked for its figures every 5 s ÷ neither", _HTTP),
    Floor("admitted_key_vs_open", 0.95, "admitted under a service's key ÷ whoever asks", _GUARDS),
    Floor("admitted_users_vs_open", 0.95, "admitted under a thousand users' tokens ÷ whoever asks", _GUARDS),
    Floor("admitted_fresh_vs_open", 0.9, "the same, one request in twenty under a token never seen", _GUARDS),
    Floor("four_instances_limited_vs_unlimited", 0.97, "four instances with limits ÷ without", _GUARDS),
    Floor("reads_secured_vs_plain_one", 0.95, "reads of one tenant with row-level security ÷ without", _ROWS),
    Floor("reads_secured_vs_plain_hundred", 0.85, "the same of a hundred tenants in turn", _ROWS),
    Floor(
        "two_instances_vs_one",
        0.8,
        "two API processes on one database ÷ one",
        "the cores: with two API processes, PostgreSQL and the generator on them, each has less than one, and batches "
        "of one instance make the other's memory wrong, so that it decides on locked rows",
    ),
    Floor(
        "two_instances_ahead_vs_locked_uniform",
        0.9,
        "two instances that fall back ÷ two that never decide ahead",
        "the batches decided in vain before the memory rests",
    ),
    Floor(
        "two_instances_ahead_vs_locked_hot",
        0.9,
        "the same on one hot wallet",
        "the batches decided in vain before the memory rests",
    ),
    Floor(
        "idle_vs_pgbench_function",
        2.5,
        "latency of a lone request over HTTP ÷ of pgbench's one function",
        "the round trips to PostgreSQL and the turns of two event loops between them",
        is_ceiling=True,
    ),
    Floor(
        "cost_1e7_vs_1e4",
        1.2,
        "cost of a transfer on ten million journal rows ÷ on ten thousand",
        "pages of the idempotency keys' index, which random keys touch all over",
        is_ceiling=True,
    ),
    Floor(
        "forgotten_vs_committed",
        1,
        "idempotency records forgotten a second ÷ commands committed",
        "the disk and one of PostgreSQL's processes: a record is deleted from two indexes",
    ),
    Floor(
        "folded_vs_hot_rows",
        1,
        "rows of one shard folded a second ÷ rows that the fastest hot wallet writes",
        "one of PostgreSQL's processes, which reads the shard's range of the primary key",
    ),
    Floor(
        "standby_replayed_vs_new",
        1.2,
        "latency of a replayed answer ÷ of a new command, with a synchronous standby",
        "the barrier's own wait for the standby, and the failed fence in front of it",
        is_ceiling=True,
    ),
    Floor(
        "standby_relay_vs_without",
        0.8,
        "events a second of a relay that waits for the standby before it publishes ÷ without",
        "one wait for the standby per read",
    ),
    Floor(
        "history_growth_max",
        1.5,
        "cost of an answer on many entries ÷ on a hundred thousand, of the question that grows most",
        _PAGES,
        is_ceiling=True,
    ),
    Floor(
        "history_busy_vs_quiet",
        1.5,
        "cost of an old balance of the busiest wallet ÷ of one with ten entries",
        _PAGES,
        is_ceiling=True,
    ),
    *(
        Floor(
            f"history_{name}_p99_ms",
            bound,
            f"{tells}, p99 at half of what is answered at most",
            _ANSWERS,
            is_ceiling=True,
        )
        for name, bound, tells in (
            ("page", 30, "a page of fifty entries"),
            ("page_of_tenant", 30, "the same of a whole tenant"),
            ("balance_busy", 30, "an old balance of the busiest wallet"),
            ("year_by_days", 40, "a year by days"),
        )
    ),
    Floor(
        "history_not_modified_share",
        0.4,
        "CPU of an answer that nothing changed ÷ of a page of fifty",
        "what every request costs: its parsing, its admission and the look at the checkpoints",
        is_ceiling=True,
    ),
    Floor("events_per_s", 15_000, "events a second that relay and projection drain from a backlog", _DRAIN),
    Floor(
        "visible_p99_ms",
        250,
        "from a transfer's answer to its being read, p99, at half the single figure",
        _PLATFORM,
        is_ceiling=True,
    ),
)


def judged(values: Mapping[str, float]) -> list[tuple[Floor, float]]:
    """Return each floor whose value was measured, with it."""
    return [(floor, values[floor.name]) for floor in FLOORS if floor.name in values]
