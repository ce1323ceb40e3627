"""The model of money: what every command must come to, kept as simply as can be.

It shares no code with the product, nor with any other model. It knows nothing of batches of the committer, shards,
versions of rows, or where usage stands: holds, refunds and what limits counted are lists, which are added up anew.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.exchange import Exchange
from services.wallet.tests.money_model.holding import Holding
from services.wallet.tests.money_model.returning import Returning
from services.wallet.tests.money_model.settings import Settings
from services.wallet.tests.money_model.things import Refusal


class Model(Holding, Returning, Exchange, Settings):
    """Everything that money can do."""

    def judge(self, command: asked.Asked, name: str, at: datetime) -> Refusal | None:
        """Carry *command* out, and return None, or why it is refused; what it makes is called *name*."""
        before = self.copied()
        self.now = at
        try:
            _DOES[type(command)](self, name, command)
        except Refusal as refusal:
            self.put_back(before)
            return refusal
        return None

    def judge_all(
        self, commands: Sequence[asked.Asked], names: Sequence[str], at: datetime
    ) -> tuple[int, Refusal] | None:
        """Carry all of *commands* out, and return None, or which is refused and why: then nothing is done."""
        before = self.copied()
        for index, (command, name) in enumerate(zip(commands, names, strict=True)):
            refusal = self.judge(command, name, at)
            if refusal is not None:
                self.put_back(before)
                return index, refusal
        return None


_DOES: Final[dict[type[asked.Asked], Callable[..., Any]]] = {
    asked.Open: Model.open,
    asked.Deposit: Model.deposit,
    asked.Withdraw: Model.withdraw,
    asked.Transfer: Model.transfer,
    asked.Pay: Model.pay_several,
    asked.Place: Model.place,
    asked.Increase: Model.increase,
    asked.Capture: Model.capture,
    asked.Void: Model.void,
    asked.Expire: Model.expire,
    asked.TakeBack: Model.take_back,
    asked.AskForQuote: Model.ask_for_quote,
    asked.Convert: Model.convert,
    asked.ExpireQuote: Model.expire_quote,
    asked.Freeze: Model.freeze,
    asked.Unfreeze: Model.unfreeze,
    asked.Close: Model.close,
    asked.SetLine: Model.set_line,
    asked.SetLimits: Model.set_limits,
    asked.SetTier: Model.set_tier,
    asked.SetTiers: Model.set_tiers,
    asked.SetFees: Model.set_fees,
    asked.SetTerms: Model.set_terms,
    asked.SetPairs: Model.set_pairs,
}
