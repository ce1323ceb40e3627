"""Runs a whole stack whose two processes are fake, as `python -m local_stack up` runs the real one."""

import asyncio
import os
import sys
from pathlib import Path

from rich.console import Console

from engines.errors import EngineError
from local_stack import control
from local_stack.config import Config
from local_stack.errors import StackError
from local_stack.services import ProcessType, Service

FAKE = (sys.executable, str(Path(__file__).with_name("fake_process.py")))
MIGRATE = (
    "import asyncio, asyncpg, os\n"
    "async def main():\n"
    "    c = await asyncpg.connect(os.environ['SAMPLE_OWNER_DATABASE_URL'])\n"
    "    await c.execute('create table if not exists starts (n int); grant select, insert on starts to sample_app')\n"
    "    await c.close()\n"
    "asyncio.run(main())\n"
)
SAMPLE = Service(
    name="sample",
    migrate=(sys.executable, "-c", MIGRATE),
    processes=(
        ProcessType(name="sample-relay", argv=(*FAKE, "SAMPLE_RELAY_PORT"), port_variable="SAMPLE_RELAY_PORT", port=1),
        ProcessType(
            name="sample-api",
            argv=(*FAKE, "SAMPLE_API_PORT"),
            port_variable="SAMPLE_API_PORT",
            port=2,
            after=("sample-relay",),
            instances_variable="SAMPLE_API_INSTANCES",
            is_api=True,
        ),
    ),
)

if __name__ == "__main__":
    try:
        asyncio.run(control.follow(Config(dict(os.environ), (SAMPLE,)), Console()))
    except (EngineError, StackError) as error:
        sys.exit(f"error: {error}")
