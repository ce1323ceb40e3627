"""Releases there and back under load, killed at every step, and the last release beside this one."""

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tests.drills.failing import DrillFailed
from tests.drills.faults import holding
from tests.drills.load import Load
from tests.drills.stack import DrillStack

from engines import checkout
from engines.errors import EngineError
from local_stack import fronting
from release import commits, marking, platform, smoke
from release.domain.moves import PORT_SHIFT, Kind, Release, Step
from release.platform import Platform
from release.sides import Beside

WATCHED_S: Final = 5.0
MOVED_WITHIN_S: Final = 400.0
SWITCH_S_MAX: Final = 1.0
SLOWER_MAX: Final = 10.0
POLL_S: Final = 0.005
TOGETHER_S: Final = 12.0
_WHO: Final = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "drill"), ("EMAIL", "drill@localhost"), ("DATE", "2026-01-01T00:00:00Z"))
}

Figures = dict[str, Any]
Shared = Callable[[], DrillStack]
"""Gives the stack that the drills share: each leaves it as it has found it."""


def another_commit() -> str:
    """Return a commit of the same files as the checkout's, which no branch has: another release of the same code."""
    return _git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "Another release")


def _git(*words: str, told: Mapping[str, str] | None = None, typed: str | None = None) -> str:
    """Run git in the checkout, with *told* in its environment and *typed* as its input; return what it prints."""
    done = subprocess.run(
        ["git", "-C", str(checkout.ROOT), *words],
        env={**os.environ, **_WHO, **(told or {})},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise EngineError(f"a drill of releases needs a clone of git: {done.stderr.strip()}")
    return done.stdout.strip()


def hold_blue_green(shared: Shared, seeds: int) -> Figures:
    """Deploy under 400 deposits a second, for each of *seeds*; return the figures of each. Raises DrillFailed."""
    return {f"seed {seed}": there for seed, (there, _) in _there_and_back(shared, seeds).items()}


def hold_rollback(shared: Shared, seeds: int) -> Figures:
    """Roll back under 400 deposits a second, for each of *seeds*; return the figures of each. Raises DrillFailed."""
    return {f"seed {seed}": back for seed, (_, back) in _there_and_back(shared, seeds).items()}


@functools.cache
def _there_and_back(shared: Shared, seeds: int) -> dict[int, tuple[Figures, Figures]]:
    """Do it once for both drills: a deploy comes before each rollback."""
    commit, stack = another_commit(), shared()
    return {
        seed: (_held(stack, seed, "deploy", "--to", commit), _held(stack, seed, "rollback"))
        for seed in range(1, seeds + 1)
    }


def _held(stack: DrillStack, seed: int, *words: str) -> Figures:
    figures = asyncio.run(_moved(stack, seed, *words))
    print(f"   {words[0]} {seed}: {figures}", flush=True)
    return figures


async def _moved(stack: DrillStack, seed: int, *words: str) -> Figures:
    """Carry out a move under load; return the figures. Raises DrillFailed for what was promised otherwise."""
    load = Load(stack, seed)
    async with load.going_on():
        began_s = time.monotonic()
        told = await _release(stack, *words, "--watch", str(WATCHED_S))
        took_s = time.monotonic() - began_s
    figures = {**await load.figures(), "switch_s": _switch_s(told), "move_s": round(took_s, 1)}
    stack.command_of("wallet", "verify")
    if figures["failed"] or figures["money_differs"]:
        raise DrillFailed(f"{words[0]}, seed {seed}: {figures}, the failed were told {dict(load.told())}")
    if figures["switch_s"] > SWITCH_S_MAX or figures["p99_ms"] > SLOWER_MAX * figures["calm_p99_ms"]:
        raise DrillFailed(f"{words[0]}, seed {seed}, is too slow: {figures}")
    return figures


async def _release(stack: DrillStack, *words: str) -> str:
    """Run `python -m release` *words*; return what it tells. Raises DrillFailed where it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "release", *words,
        env=dict(stack.environment), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(MOVED_WITHIN_S):
        output, _ = await process.communicate()
    if process.returncode != 0:
        raise DrillFailed(f"`release {' '.join(words)}` ended with {process.returncode}:\n{output.decode()}")
    return output.decode()


def _switch_s(told: str) -> float:
    (line,) = (each for each in told.splitlines() if each.startswith("clients are led to "))
    return float(line.split(" within ")[1].removesuffix(" s"))


def planted_commit(path: str, text: str) -> str:
    """Return a commit of the checkout's files with *text* in the one at *path*; no branch has it."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        _git("read-tree", "HEAD", told=index)
        blob = _git("hash-object", "-w", "--stdin", typed=text)
        _git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", told=index)
        return _git("commit-tree", _git("write-tree", told=index), "-p", "HEAD", "-m", "A planted fault")


def hold_refused(shared: Shared) -> Figures:
    """Deploy a release that cannot migrate for a lock, and one whose process ends; under load, and nothing changes."""
    migration = "alter table fraud.decision add column planted text;\n"
    locking = planted_commit("services/fraud/migrations/0099_planted.sql", migration)
    entry = checkout.ROOT / "services" / "fraud" / "src" / "fraud" / "__main__.py"
    ending = planted_commit(
        str(entry.relative_to(checkout.ROOT)), entry.read_text().replace("serve_api", "serve_nothing")
    )
    found = asyncio.run(_refused(shared(), locking, ending))
    print(f"   {found}", flush=True)
    if found["failed"] or found["money_differs"]:
        raise DrillFailed(f"releases that are refused: {found}")
    return found


async def _refused(stack: DrillStack, locking: str, ending: str) -> Figures:
    load = Load(stack, seed=1)
    async with load.going_on():
        async with holding("fraud", "select count(*) from fraud.decision")(stack):
            await _fails(stack, locking, "lock timeout")
        await _fails(stack, ending, "serve_nothing")
    return {**await load.figures(), "refused": 2}


async def _fails(stack: DrillStack, commit: str, reason: str) -> None:
    """Deploy *commit*; raises DrillFailed unless that fails for *reason*, and what served serves on."""
    before = stack.command("release", "status")
    try:
        await _release(stack, "deploy", "--to", commit)
    except DrillFailed as error:
        if reason not in str(error):
            raise
    else:
        raise DrillFailed(f"a release came in that should fail for {reason}")
    if stack.command("release", "status") != before:
        raise DrillFailed(f"{reason}: something has changed")


def hold_killed(shared: Shared) -> Figures:
    """Kill the command at every step of a deploy and of a rollback, under load, and have it go on each time."""
    commit, stack = another_commit(), shared()
    there = asyncio.run(_killed(stack, Kind.DEPLOY, ("deploy", "--to", commit)))
    back = asyncio.run(_killed(stack, Kind.ROLLBACK, ("rollback",)))
    return {"deploy": there, "rollback": back}


def hold_previous(shared: Shared) -> Figures:
    """Run the last release's processes on this one's schema, beside this one's and under load; return the figures."""
    commit = commits.find(marking.previous())
    commits.build(commit)
    stack = shared()
    found = platform.find(stack.environment)
    old = Beside(Release(name=commits.name_of(commit), commit=commit, shift=PORT_SHIFT), found)
    old.start()
    smoke.await_ready(old, found.key)
    smoke.smoke(old, found.canary_key)
    figures = asyncio.run(_together(stack, found, old))
    for service in ("transaction_history", "fraud", "notifications"):  # each fails where something is parked
        stack.command_of(service, "projections", "status")
        stack.command_of(service, "identities", "status")
    stack.command_of("wallet", "verify")
    print(f"   {figures}", flush=True)
    if figures["failed"] or figures["money_differs"] or not figures["by_previous"]:
        raise DrillFailed(f"beside the last release: {figures}")
    return {**figures, "parked": 0}


async def _together(stack: DrillStack, found: Platform, old: Beside) -> Figures:
    """Send deposits to both releases, whose relays and projectors share the work; return the figures."""
    gateway = fronting.gateway(found.config, found.config.logs / "gateway.log")
    older = fronting.behind(old.config).apis
    own, pid = gateway.behind, found.gateway_pid
    both = {name: [*addresses, *older.get(name, ())] for name, addresses in own.apis.items()}
    load = Load(stack, seed=1)
    async with load.going_on():
        await asyncio.to_thread(gateway.switch, replace(own, apis=both), pid=pid)
        await asyncio.sleep(TOGETHER_S)
        shared = smoke.leases_held(old)
        await asyncio.to_thread(gateway.switch, own, pid=pid)
    by_previous = load.sent_to([address for addresses in older.values() for address in addresses])
    await asyncio.to_thread(old.end)
    return {**await load.figures(), "by_previous": by_previous, "leases_of_previous": shared}


async def _killed(stack: DrillStack, kind: Kind, words: tuple[str, ...]) -> Figures:
    load = Load(stack, len(words))
    kills: list[str] = []
    async with load.going_on():
        while True:
            step = await asyncio.to_thread(_kill_at_next_step, stack, words, kills)
            if step is None:
                break
            kills.append(step)
    figures = {**await load.figures(), "kills": len(kills), "at": kills}
    print(f"   {kind}: {figures}", flush=True)
    stack.command_of("wallet", "verify")
    if figures["failed"] or figures["money_differs"]:
        raise DrillFailed(f"{kind} that is killed: {figures}, the failed were told {dict(load.told())}")
    if Step.SWITCHED not in kills or len(kills) < len(Step) - 3:
        raise DrillFailed(f"{kind} was killed at {kills} alone")
    return figures


def _kill_at_next_step(stack: DrillStack, words: tuple[str, ...], killed_at: list[str]) -> str | None:
    """Run the command and kill it at the first step that none was killed at; return that, None where it ended."""
    file = stack.folder / "release" / "state.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "release", *words, "--watch", "1"],
        env=dict(stack.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline_s = time.monotonic() + MOVED_WITHIN_S
    while process.poll() is None:
        new = [each for each in _done(file) if each not in killed_at]
        if new:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return new[-1]
        if time.monotonic() > deadline_s:
            process.kill()
            raise DrillFailed(f"`release {' '.join(words)}` hangs")
        time.sleep(POLL_S)
    _, told = process.communicate()
    if process.returncode != 0:
        raise DrillFailed(f"`release {' '.join(words)}` ended with {process.returncode}: {told}")
    return None


def _done(file: Path) -> list[str]:
    try:
        document: Mapping[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return []
    return list((document["move"] or {}).get("done", []))
