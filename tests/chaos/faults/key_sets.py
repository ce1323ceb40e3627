"""The fault of an issuer's key set: its source rotates at once, is hostile, slow, or away for a day."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from tests.chaos.judge.vitals import counted, metric
from tests.chaos.load.credentials import made_known
from tests.chaos.load.issuers import (
    PATH,
    Provider,
    Source,
    Visits,
    asked_once,
    key_set,
    refusals,
    register,
    until_refused,
    until_taken,
    visiting,
)
from tests.chaos.platform.product import ACCESS
from tests.chaos.run import Bite, Fault, Run

from access.maintenance.key_sets import LOOK_S, POLL_S
from testkit.receiver import Reply
from testkit.tokens import Signer

WORKER = "access-worker"
FETCH_TIMEOUT_S = 2.0
KNOWN_WITHIN_S = 1.0
"""From the issuer's change until every API goes by it."""
ROTATED_WITHIN_S = POLL_S + LOOK_S + KNOWN_WITHIN_S
"""An issuer is due 15 s after the last poll, and who is due is looked for each second."""
TOLD_WITHIN_S = LOOK_S + FETCH_TIMEOUT_S + 5.0
"""From a refresh until its failure is told: a look, a whole fetch, and what two busy cores add."""
APPLIED_WITHIN_S = 10.0
LOOKED_AGAIN_S = 0.1
INWARDS = "/inwards"
GOODPUT_MIN = 0.99
FIRST, SECOND, SOUND = Signer("ES256", "first"), Signer("ES256", "second"), Signer("ES256", "sound")
_NO_ALGORITHM = {name: value for name, value in Signer("RS256", "third").jwk.items() if name != "alg"}
_UNAUTHENTICATED = "unauthenticated"
_FETCHES = "access_key_set_fetches_total"
_FAILING = "access_key_sets_failing"
_AGED = "update access.issuer set failing_since = failing_since - $2::interval where id::text = $1"


@dataclass(kw_only=True)
class Scene:
    """Two providers, and where the *victim*'s keys are served. *breaches* and *told* are what was found."""

    run: Run
    victim: Provider
    source: Source
    sound: Provider
    visits: Visits
    breaches: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def failed_as(self, code: str) -> float:
        """Have the victim's set fetched and wait until its issuer tells *code*; return the seconds.

        Raises TimeoutError.
        """
        before = (await self.victim.fetching())["consecutive_failures"]
        began_s = time.monotonic()
        await self.victim.refresh()
        async with asyncio.timeout(TOLD_WITHIN_S):
            while (told := await self.victim.fetching())["consecutive_failures"] <= before:  # noqa: ASYNC110  in the worker
                await asyncio.sleep(LOOKED_AGAIN_S)
        if told["last_error"] != code:
            self.breaches.append(f"a source that comes to {code} is told as {told['last_error']}")
        return time.monotonic() - began_s

    async def still_taken(self, signer: Signer, when: str) -> None:
        """Find where a new token under the victim's last good key is not taken."""
        for name, code in (await refusals(self.victim, signer)).items():
            self.breaches.append(f"{when}, {name} refuses a token under the last good key: {code}")


def _hostile() -> Mapping[str, Reply]:
    """Return what a hostile source answers, by what is told of it."""
    return {
        "too_large": Reply(body=b" " * 1_000_000),
        "status": Reply(302, {"location": INWARDS}),
        "key_set_private_key": Reply(body=json.dumps({"keys": [SECOND.private_jwk]}).encode()),
        "key_set_no_algorithm": Reply(body=json.dumps({"keys": [_NO_ALGORITHM]}).encode()),
        "key_set_no_keys": Reply(body=b'{"keys": []}'),
    }


async def disturb_source(run: Run) -> Bite:
    """F48: rotate the victim's keys at once, answer with what is none, too late, and then for a day not at all."""
    async with _scene(run) as scene:
        await _rotate(scene)
        for code, reply in _hostile().items():
            scene.source.reply = reply
            await scene.failed_as(code)
            await scene.still_taken(SECOND, f"with {code}")
        await _outage_shows(scene)
        await _late(scene)
        await _away_for_a_day(scene)
        recovered_s = time.monotonic()
        scene.breaches += _others(scene)
        fetches = await _counts(run)
    return Bite(
        what=f"{', '.join(scene.told)}; fetches that failed: "
        f"{', '.join(f'{count:g} {code}' for code, count in fetches.items())}; "
        f"{scene.visits.taken} tokens of another issuer taken, goodput {scene.visits.goodput:.3f}",
        count=int(min(fetches.values())),
        recovery_s=await run.recovery_s(recovered_s),
        breaches=scene.breaches,
    )


@asynccontextmanager
async def _scene(run: Run) -> AsyncIterator[Scene]:
    """Register both providers and have the other one's users ask while the body runs."""
    platform, source, other, wallet = run.platform, Source(FIRST), Source(SOUND), run.bank.wallets[0]
    operator = (await made_known(platform, 0)).operator
    async with source.serving() as url, other.serving() as other_url:
        victim = await register(platform, operator, "victim", url, wallet)
        sound = await register(platform, operator, "sound", other_url, wallet)
        await until_taken(victim, FIRST, ROTATED_WITHIN_S)
        await until_taken(sound, SOUND, ROTATED_WITHIN_S)
        async with visiting(sound, SOUND) as visits:
            yield Scene(run=run, victim=victim, source=source, sound=sound, visits=visits)


async def _rotate(scene: Scene) -> None:
    """Replace the only key by another; nobody asks for the set to be fetched."""
    victim = scene.victim
    cached = victim.doors(FIRST)
    scene.breaches += [f"{name} refuses a good token: {code}" for name, code in (await asked_once(cached)).items()]
    scene.source.reply = Reply(body=key_set(SECOND))
    taken, refused = await asyncio.gather(
        until_taken(victim, SECOND, ROTATED_WITHIN_S), until_refused(cached, ROTATED_WITHIN_S)
    )
    refused_s, codes = refused
    fresh = await refusals(victim, FIRST)
    if codes | set(fresh.values()) != {_UNAUTHENTICATED} or len(fresh) < len(cached):
        scene.breaches.append(f"tokens under a removed key are told {sorted(codes)}, new ones {fresh}")
    scene.told.append(f"rotated: the new key taken after {taken:.1f} s, cached tokens refused after {refused_s:.1f} s")


async def _outage_shows(scene: Scene) -> None:
    """Find that the worker does not show the one issuer that fails."""
    async with asyncio.timeout(TOLD_WITHIN_S):
        while await metric(scene.run.platform, WORKER, _FAILING) != 1:  # noqa: ASYNC110  in another process
            await asyncio.sleep(LOOKED_AGAIN_S)
    if INWARDS in scene.source.paths or scene.source.paths != {PATH}:
        scene.breaches.append(f"a redirect was followed: {sorted(scene.source.paths)}")


async def _late(scene: Scene) -> None:
    """Have the source say nothing: its fetch ends, and the other's set is fetched meanwhile."""
    scene.source.reply = Reply(hangs=True)
    before = (await scene.sound.fetching())["last_success_at"]
    await scene.sound.refresh()
    slow_s = await scene.failed_as("no_answer_in_time")
    await scene.still_taken(SECOND, "with a slow source")
    if (await scene.sound.fetching())["last_success_at"] <= before:
        scene.breaches.append("a slow source kept another issuer's set from being fetched")
    scene.told.append(f"slow: given up and told after {slow_s:.1f} s")


async def _away_for_a_day(scene: Scene) -> None:
    """Have connections refused for 23 hours, then for 24, and have the source back.

    The hours are taken from the instant, by the database's clock, since which fetching has failed.
    """
    victim, source = scene.victim, scene.source
    source.stop()
    await scene.failed_as("cannot_connect")
    await _age(scene, hours=23)
    await scene.failed_as("cannot_connect")
    await scene.still_taken(SECOND, "after 23 hours")
    cached = victim.doors(SECOND)
    await asked_once(cached)
    await _age(scene, hours=1)
    await scene.failed_as("cannot_connect")
    if kids := await victim.kids():
        scene.breaches.append(f"after 24 hours the issuer has {kids}")
    dropped_s, codes = await until_refused(cached, APPLIED_WITHIN_S)
    if codes != {_UNAUTHENTICATED}:
        scene.breaches.append(f"tokens of an issuer without keys are told {sorted(codes)}")
    source.reply = Reply(body=key_set(SECOND))
    await source.start()
    await victim.refresh()
    back_s = await until_taken(victim, SECOND, TOLD_WITHIN_S)
    if (await victim.fetching())["last_error"] is not None:
        scene.breaches.append("an outage is told that is over")
    scene.told.append(
        f"after a day cached tokens refused after {dropped_s:.1f} s, taken {back_s:.1f} s after the return"
    )


async def _age(scene: Scene, *, hours: int) -> None:
    async with scene.run.platform.connections() as connections:
        await connections["access"].execute(_AGED, scene.victim.id, timedelta(hours=hours))


def _others(scene: Scene) -> Iterator[str]:
    """Find that the other issuer's users had less."""
    if scene.visits.goodput < GOODPUT_MIN:
        yield f"another issuer's users were answered {dict(scene.visits.refused)}"


async def _counts(run: Run) -> Mapping[str, float]:
    """Return how many fetches came to each failure, by the worker's own count."""
    outcomes = (*_hostile(), "no_answer_in_time", "cannot_connect")
    return {outcome: await counted(run.platform, WORKER, _FETCHES, outcome=outcome) for outcome in outcomes}


FAULTS = (
    Fault(
        id="F48",
        title="an issuer's key set rotated at once, hostile, slow, and away for a day",
        inflict=disturb_source,
        also=ACCESS | {WORKER},
        env={"ACCESS_ALLOW_LOOPBACK": "true", "ACCESS_FETCH_TIMEOUT_S": str(FETCH_TIMEOUT_S)},
        clients=2,
        is_alone=True,
    ),
)
