"""What each line of a log means, and what whoever reads it does: `docs/logs.md` is made from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a line *means*, and what to do *then*: every line that is an error says that."""

    means: str
    then: str = ""


MEANINGS: Final[Mapping[str, Meaning]] = {
    # Every process
    "http.request": Meaning(
        "A request was answered. 500 is a bug, with its traceback; above it something was away or overloaded, and"
        " `error` says what; below it the request was slow or is traced, or `ACCESS_LOG=all` asks for every line.",
        "For a bug, report the traceback and `request_id`; the client repeats under its key.",
    ),
    "http.serving": Meaning("The process listens, and its health can be asked."),
    "process.shutdown_requested": Meaning("A signal asks the process to end; it drains."),
    "process.drain_late": Meaning(
        "The process was still at work when its drain's time was over, and gave it up.",
        "Look at what came before it; raise `DRAIN_S` where requests or jobs take longer than that.",
    ),
    "process.cannot_start": Meaning(
        "Something that the process needs is not as it must be; `detail` says what.",
        "Do what `detail` says, and start it.",
    ),
    "process.failed": Meaning("A bug ended the process.", "Report the traceback; its supervisor starts it again."),
    "process.work_ended": Meaning(
        "What the process is there for ended without having been asked to, and the process ends with it.",
        "See `error`; where it comes again after the restart, look at [restarts](runbooks/ProcessRestarting.md).",
    ),
    "library.message": Meaning(
        "A library that logs by itself says `text`, at a level of its own.",
        "An error names the library in `logger`: most often a broker or a database is away.",
    ),
    "expiry.not_read": Meaning(
        "A certificate's file cannot be read now; the end that was read before is still shown.",
        "See that the file exists and that the process may read it.",
    ),
    # Limits
    "limits.not_settling": Meaning(
        "The rate limits' database is away: each instance goes on with its share. Written once until it is back."
    ),
    "limits.settling_again": Meaning("The rate limits are shared again between so many instances."),
    "limits.bug": Meaning("A settlement of rate limits failed by a bug; requests go on.", "Report the traceback."),
    # Maintenance
    "maintenance.failed": Meaning(
        "A job could not be done now, and is tried again at its next time.",
        "Where it goes on, see [late maintenance](runbooks/MaintenanceLate.md).",
    ),
    "maintenance.bug": Meaning(
        "A job failed by a bug.", "Report the traceback; see [late maintenance](runbooks/MaintenanceLate.md)."
    ),
    "maintenance.paused": Meaning("An operator, `by`, has paused a job. It rests until it is resumed."),
    "maintenance.resumed": Meaning("A job that was paused runs again."),
    "maintenance.lease_lost": Meaning(
        "A run found that another instance has the job's lease, and wrote nothing: usual after the process stood still."
    ),
    "maintenance.orders_not_read": Meaning(
        "What operators have ordered of the process's jobs cannot be read now: the last orders hold."
    ),
    # Admission
    "access.look_failed": Meaning(
        "A look for changed identities failed by a bug: what is known grows old.",
        "Report `error`; see [stale access](runbooks/stale-access.md).",
    ),
    "access.changes_went_back": Meaning(
        "The database of identities has fewer changes than were seen: it is another one, or was restored. All that was"
        " known by heart is dropped.",
        "See [a restored database](runbooks/restored-access.md).",
    ),
    # The ledger, looked after
    "ledger.invariant_broken": Meaning(
        "Continuous verification found a breach of `invariant` at `place`, seen at `seq` of `shard`.",
        "See [a broken invariant](runbooks/InvariantBroken.md), at once.",
    ),
    "ledger.more_broken": Meaning(
        "One look found so many breaches that not all are named.",
        "See [a broken invariant](runbooks/InvariantBroken.md), at once.",
    ),
    "ledger.archived_unverified": Meaning(
        "Rows of a shard were archived before they were looked at; they were hashed then."
    ),
    "ledger.verified": Meaning("A round over all of the ledger has ended."),
    "journal.archive_due": Meaning(
        "So many partitions of the journal could be archived: see [the journal's size](architecture/journal-size.md)."
    ),
    # Relays
    "relay.leases_acquired": Meaning("The relay publishes these shards from now on."),
    "relay.leases_lost": Meaning(
        "Another relay has these shards, or their leases ran out: this one no longer publishes them. Usual when"
        " instances come and go."
    ),
    "relay.hand_over_failed": Meaning("The relay ended without freeing its leases: others wait until they run out."),
    "relay.round_failed": Meaning(
        "Database or broker was away; the relay goes on behind what was acknowledged.",
        "Where it goes on, see [a relay's lag](runbooks/RelayLag.md).",
    ),
    "relay.partition_held": Meaning(
        "A partition takes nothing now: its shards wait, the others go on.",
        "Where it goes on, see [offline partitions](runbooks/KafkaOfflinePartitions.md).",
    ),
    "relay.not_listening": Meaning("Notifications of the database do not come: the relay looks by the clock instead."),
    "relay.watermarks_failed": Meaning(
        "How far the journal is published could not be told to the brokers; it is told again."
    ),
    "relay.halted": Meaning(
        "The topic has events that the journal lacks: the database was restored behind it. Nothing is committed or"
        " published.",
        "See [a halted relay](runbooks/RelayHalted.md).",
    ),
    "relay.gap": Meaning(
        "A shard of the journal lacks a sequence that others stand behind: the shard is not published further.",
        "See [missing events](runbooks/missing-events.md).",
    ),
    "relay.journal_ended_before": Meaning(
        "The journal ends before what these shards have published: rows are gone.",
        "See [a halted relay](runbooks/RelayHalted.md).",
    ),
    "relay.no_events_stepped_over": Meaning(
        "Records at the end of a partition are no events of the platform: somebody else writes to its topic.",
        "Find who may write there, and take the right away.",
    ),
    # Consumers
    "consumer.poll_failed": Meaning(
        "A poll could not be applied and is repeated: most often the database or a broker is away.",
        "Where it goes on, see [a consumer's lag](runbooks/ConsumerLag.md).",
    ),
    "consumer.gap": Meaning("Sequences of a shard are missing in front of a record, which is read once more."),
    "consumer.shard_stopped": Meaning(
        "A shard misses events for good, or has two of one sequence: it is not applied further.",
        "See [a stopped shard](runbooks/ShardStopped.md).",
    ),
    "consumer.subject_parked": Meaning(
        "An event of this subject cannot be applied: it and those behind it wait, other subjects go on.",
        "See [a parked wallet](runbooks/WalletParked.md).",
    ),
    "consumer.unreadable_record": Meaning(
        "A record without a place in the stream was passed over. Where it was an event, its shard stops at the gap.",
        "Find who wrote it: `partition` and `offset` name it.",
    ),
    "consumer.rewound": Meaning("An operator had a partition read again, from `offset` on."),
    "consumer.offsets_not_committed": Meaning(
        "The brokers did not take how far the consumer is. Harmless: the database knows it."
    ),
    "consumer.not_stopped_in_order": Meaning(
        "The consumer left its group without a word: the brokers notice by themselves."
    ),
    "consumer.no_watermarks": Meaning(
        "The topic of watermarks does not exist: up to when a projection is complete is not known. Written once.",
        "Make the topic, where the relay's settings name one.",
    ),
    "consumer.watermarks_not_read": Meaning("Watermarks could not be read now, and are read again."),
    # Wallet
    "money.unsafe": Meaning(
        "The database might lose what it acknowledged, which is allowed in development alone; `settings` names why.",
        "Set each of them in PostgreSQL before real money is moved.",
    ),
    "batch.not_decided_ahead": Meaning(
        "A batch could not be decided on rows that are not locked; it is decided on locked ones."
    ),
    "batch.runs_again": Meaning("A batch was not written and is tried again within its commands' deadlines."),
    "batch.wallets_ahead_of_clock": Meaning(
        "Wallets were last changed later than the database's clock says it is: the clock went back. Times do not."
    ),
    "batch.failed": Meaning(
        "A batch was given up, and its commands were answered that nothing is known to have happened.",
        "For `RESOURCES` see the database's disk and memory; otherwise report the traceback.",
    ),
    "sweep.not_done": Meaning("What is due could not be done now, and is done by one of the next sweeps."),
    "decision.applied": Meaning("A decision of fraud's restricts a wallet from now on."),
    "rates.jumped": Meaning(
        "Rates moved by more than a step may be, and are not believed.",
        "See [refused rates](runbooks/rates-refused.md).",
    ),
    "rates.not_fetched": Meaning(
        "The exchange rates were not fetched or not understood: quotes go on with those that are known until they are"
        " too old.",
        "See [refused rates](runbooks/rates-refused.md).",
    ),
    # History
    "history.drift": Meaning(
        "A projected row is not what the events say; never its values.", "See [drift](runbooks/drift.md)."
    ),
    "history.drift_more": Meaning("More rows of one look drift than are named.", "See [drift](runbooks/drift.md)."),
    "history.drift_not_compared": Meaning("Events could not be compared with their rows; `reason` says why."),
    "history.drift_skipped": Meaning("Events are no longer in the topic, and cannot be compared any more."),
    "history.drift_round_ended": Meaning("Every row of a projection was compared once more."),
    "history.wallet_repaired": Meaning("An operator had a wallet's rows made again from the topic."),
    "job.attempt": Meaning("An attempt at an export or a report ended, with `outcome`."),
    "job.attempt_failed": Meaning("An attempt failed for `reason`, and is made again while it has some left."),
    "job.attempt_crashed": Meaning("An attempt failed by a bug.", "Report the traceback; the job is shown as failed."),
    "job.crashed": Meaning(
        "A bug beside any attempt: the job's lease ends and it is taken again.", "Report the traceback."
    ),
    "job.take_failed": Meaning("The database is away: no job is taken for a moment."),
    "job.not_extended": Meaning("A lease was not extended; the next time it is, or another worker takes the job."),
    "job.not_recorded": Meaning("What an attempt came to was not written: its lease ends, and it is made again."),
    "statement_file.attempt_failed": Meaning("A statement's file was not made for `reason`, and is tried again."),
    "statement_file.attempt_crashed": Meaning("A statement's file was not made by a bug.", "Report the traceback."),
    "statement_file.differs": Meaning(
        "A statement's file came out otherwise than when it was made first, and is not served.",
        "Compare the releases that made it: the same statement must give the same bytes.",
    ),
    "statement_file.take_failed": Meaning("The database is away: no file is made for a moment."),
    "statement_file.not_recorded": Meaning(
        "What an attempt came to was not written: its lease ends, and it is made again."
    ),
    # Fraud
    "rules.in_force": Meaning("Decisions are made by this version of the rules from now on."),
    "rules.not_stored": Meaning(
        "New rules could not be written down now: those before go on, and the file is read again."
    ),
    "rules.refused": Meaning(
        "The file of rules has mistakes, each named in `errors`; the rules before go on.",
        "See [refused rules](runbooks/FraudRulesRefused.md).",
    ),
    "rules.refusal_not_stored": Meaning("That rules were refused could not be written down; the file is read again."),
    # Notifications
    "webhook.attempt": Meaning(
        "A webhook was attempted: how it ended, whether the delivery is given up and its endpoint was disabled."
    ),
    "webhook.attempt_crashed": Meaning(
        "An attempt failed by a bug, and counts as a failed one.", "Report the traceback."
    ),
    "webhook.settling_crashed": Meaning(
        "What an attempt came to could not be written as it was: it is written as a failure of ours.",
        "Report the traceback.",
    ),
    "webhook.lease_failed": Meaning(
        "The database is away: no delivery is begun for a moment.",
        "Where it goes on, see [late webhooks](runbooks/WebhooksLate.md).",
    ),
    "webhook.settle_failed": Meaning(
        "What an attempt came to is not written yet; where it cannot be at all, the receiver gets the same id again."
    ),
    # Access
    "access.halted": Meaning(
        "Nothing of identities is changed or published: the database was restored behind its topic, or is not compared"
        " yet.",
        "See [a restored database](runbooks/restored-access.md).",
    ),
    "access.not_compared": Meaning(
        "Database or broker is away: whether the one stands behind the other is not known yet."
    ),
    "access.comparison_failed": Meaning(
        "Comparing database and topic failed by a bug; it is tried again.", "Report `error`: changes wait meanwhile."
    ),
    "access.key_set_changed": Meaning("An issuer signs with other keys from now on."),
    "access.key_set_not_fetched": Meaning(
        "An issuer's keys cannot be fetched, for `failure`; those known go on. Written when the failure changes.",
        "Where it goes on, see [key sets](runbooks/key-set-not-fetched.md).",
    ),
    # The probe
    "probe.step_failed": Meaning(
        "The probe's round failed at `step`; the next one begins in seconds.",
        "Where it goes on, see [a failing probe](runbooks/ProbeFailing.md).",
    ),
    "probe.recovered": Meaning("The probe's round succeeds again."),
}
SEVERAL_LEVELS: Final = frozenset({"http.request", "library.message"})
"""Actions whose level says something that their fields say too: the class of a status, or a library's own level."""
