"""What the commands that change one wallet have in common."""

from uuid import UUID

from wallet.domain.commands import Command, Context
from wallet.domain.outcomes import Missing, RefusalCode, Rejected, missing_wallet, rejected
from wallet.domain.rows import RowName, Rows
from wallet.domain.wallets import Wallet


class WalletCommand(Command, frozen=True):
    """A command that changes the wallet *wallet_id*, and moves nothing."""

    wallet_id: UUID

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the wallet."""
        del known
        return (self.wallet_id,)

    def found_open(self, rows: Rows, context: Context) -> Wallet | Missing | Rejected:
        """Return the wallet, or that there is none for the command's sender, or that it is closed."""
        wallet = context.own(rows, self.wallet_id)
        if wallet is None:
            return missing_wallet(self.wallet_id)
        return rejected(RefusalCode.WALLET_CLOSED, wallet) if wallet.is_closed else wallet
