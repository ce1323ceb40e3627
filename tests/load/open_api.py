"""The wallet's API that admits whoever asks, to compare with: `python -m tests.load.open_api`.

Everything but the authority is the product's own, joined by its `bootstrap`.
"""

import sys

from contracts.scopes import Kind
from servicekit.lifecycle import run
from testkit.access import AdmitsAs, principal_of
from wallet.bootstrap.api import serve_api
from wallet.config import WalletSettings


def main() -> int:
    """Run the process; return its exit code."""
    settings = WalletSettings()
    authority = AdmitsAs(principal_of("bench", kind=Kind.SERVICE))
    return run(lambda shutdown: serve_api(settings, shutdown, authority=authority), drain_s=settings.drain_s)


if __name__ == "__main__":
    sys.exit(main())
