"""How each command is answered."""

from typing import Final

from wallet.domain.lifecycle import CloseWallet, OpenWallet
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet
from wallet.entrypoints.rendering import Answers, answer_new_wallet, answer_transaction, answer_wallet

ANSWERS: Final[Answers] = {
    OpenWallet: answer_new_wallet,
    CloseWallet: answer_wallet,
    FreezeWallet: answer_wallet,
    UnfreezeWallet: answer_wallet,
    DepositFunds: answer_transaction,
    WithdrawFunds: answer_transaction,
    TransferFunds: answer_transaction,
}
