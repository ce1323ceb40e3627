"""The judge of webhooks and decisions: pure functions, like those of the ledger's."""

from collections import Counter
from collections.abc import Iterator

from tests.chaos.judge.observed import Decisions, Delivery, Endpoint, Observed, Webhooks

ACTED_ON = ("applied", "superseded", "refused")


def owed(observed: Observed) -> Iterator[str]:
    """Find endpoints whose deliveries are not the journal's events, each once, that came after them."""
    if observed.webhooks is None:
        return
    for endpoint in observed.webhooks.endpoints:
        found = Counter(each.message_id for each in observed.webhooks.deliveries if each.endpoint_id == endpoint.id)
        wanted = _events(observed, endpoint)
        yield from (f"{event} is recorded {count} times" for event, count in found.items() if count > 1)
        yield from (f"{event} is not for {endpoint.id}" for event in found.keys() - wanted)
        if not endpoint.is_gone:
            yield from (f"{event} is not recorded for {endpoint.id}" for event in wanted - found.keys())


def _events(observed: Observed, endpoint: Endpoint) -> set[str]:
    return {
        row.event_id
        for row in observed.journal
        if row.system_account is None
        and (not endpoint.wallets or row.wallet_id in endpoint.wallets)
        and row.seq > endpoint.since.get(row.shard, 0)
    }


def one_id(observed: Observed) -> Iterator[str]:
    """Find webhooks without a good signature or under another id than their event's, and such as nobody attempted."""
    if observed.webhooks is None:
        return
    attempts = {(each.endpoint_id, f"msg_{each.message_id}"): each.attempts for each in observed.webhooks.deliveries}
    posts = Counter((post.endpoint_id, post.webhook_id) for post in observed.webhooks.posts)
    for post in observed.webhooks.posts:
        if not post.is_signed:
            yield f"{post.webhook_id} came without a good signature"
        elif post.webhook_id != f"msg_{post.event_id}":
            yield f"{post.event_id} came as {post.webhook_id}"
    for key, count in posts.items():
        if count > attempts.get(key, 0):
            yield f"{key[1]} came {count} times, attempts are {attempts.get(key, 0)}"


def arrived(observed: Observed) -> Iterator[str]:
    """Find deliveries that were lost: not accepted by their receiver, or not known as delivered."""
    if observed.webhooks is None or not observed.webhooks.are_sent:
        return
    accepted = {(post.endpoint_id, post.webhook_id) for post in observed.webhooks.posts if post.is_accepted}
    for delivery in _expected(observed.webhooks):
        if delivery.status != "delivered":
            yield f"{delivery.message_id} is {delivery.status} for {delivery.endpoint_id}"
        if (delivery.endpoint_id, f"msg_{delivery.message_id}") not in accepted:
            yield f"{delivery.message_id} never came to {delivery.endpoint_id}"


def _expected(webhooks: Webhooks) -> Iterator[Delivery]:
    gone = {endpoint.id for endpoint in webhooks.endpoints if endpoint.is_gone}
    return (each for each in webhooks.deliveries if each.endpoint_id not in gone)


def profiled(observed: Observed) -> Iterator[str]:
    """Find wallets that fraud does not know as they are."""
    if observed.decisions is None:
        return
    for wallet_id, wallet in observed.wallets.items():
        known = observed.decisions.profiles.get(wallet_id)
        if known != wallet.version:
            yield f"wallet {wallet_id} is at version {wallet.version}, its profile at {known}"


def decided_once(observed: Observed) -> Iterator[str]:
    """Find decisions that were not published once, or not acted on once as they ask for."""
    if observed.decisions is None:
        return
    decisions = observed.decisions
    yield from _published(decisions)
    yield from _settled(decisions)


def _published(decisions: Decisions) -> Iterator[str]:
    appended = Counter(decisions.outbox.values())
    for decision in decisions.made:
        if (count := appended.pop(decision.id, 0)) != 1:
            yield f"decision {decision.id} is in the outbox {count} times"
    yield from (f"decision {each} is in the outbox and nowhere else" for each in appended)
    topic = {(record.shard, record.seq): record.event_id for record in decisions.records}
    yield from (
        f"decision {each[1]} is not in the topic as appended" for each in decisions.outbox.items() - topic.items()
    )
    yield from (f"decision {each[1]} is in the topic alone" for each in topic.items() - decisions.outbox.items())


def _settled(decisions: Decisions) -> Iterator[str]:
    settled, caused = Counter(decision for decision, _ in decisions.settled), Counter(decisions.caused)
    dispositions = dict(decisions.settled)
    for decision in decisions.made:
        disposition = dispositions.pop(decision.id, None)
        if settled[decision.id] != 1:
            yield f"decision {decision.id} is settled {settled[decision.id]} times"
        is_order = decision.outcome == "block" and decision.mode == "live"
        if disposition is not None and (disposition in ACTED_ON) != is_order:
            yield f"decision {decision.id}, {decision.mode} {decision.outcome}, is {disposition}"
        restrictions = 1 if disposition == "applied" else 0
        if caused[decision.id] != restrictions:
            yield f"decision {decision.id} is {disposition}, and the cause of {caused[decision.id]} restrictions"
    yield from (f"decision {each} is settled, and nobody made it" for each in dispositions)
