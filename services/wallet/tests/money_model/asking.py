"""What payers and payees are asked, each in the one order of refusals; and the commands that do nothing else."""

from collections.abc import Callable, Sequence

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.figures import fee_of, parts_of
from services.wallet.tests.money_model.limits import Limits
from services.wallet.tests.money_model.things import BALANCE_MAX, Entry, Fee, Refusal, Sum, Wallet


class Asking(Limits):
    """Payers and payees: closed, frozen, currency, limit, fee, funds, overflow."""

    def fee(self, operation: str, bearer: str, owner: str | None, currency: str, amount: int) -> Fee | None:
        """Return the fee of *bearer*, by the tier of *owner*, the payer (None: of nobody's)."""
        tier = self.tier_of.get(owner, "default") if owner is not None else "default"
        tier = tier if tier in self.policy.tiers else "default"
        for wanted in (tier, None):
            for rule in self.policy.fees:
                if (
                    (rule.operation, rule.bearer, rule.currency, rule.tier) == (operation, bearer, currency, wanted)
                    and (rule.valid_from is None or self.now >= rule.valid_from)
                    and (rule.valid_until is None or self.now < rule.valid_until)
                ):
                    charged = fee_of(rule, amount)
                    return Fee(rule.id, self.policy.version, charged) if charged else None
        return None

    def payers_fee(self, operation: str, payer: str, amount: int) -> Fee | None:
        """Return what the payer bears."""
        known = self.wallets[payer]
        return self.fee(operation, "payer", known.owner, known.currency, amount)

    def payees_fee(self, operation: str, payer: str, currency: str, amount: int) -> Fee | None:
        """Return what a payee bears."""
        return self.fee(operation, "payee", self.wallets[payer].owner, currency, amount)

    def ask_payer(
        self, payer: str, amount: int, currency: str, fee: Fee | None = None, limited_as: str | None = None
    ) -> None:
        """Refuse what the payer may not spend."""
        known = self.wallets[payer]
        _refuse_use(payer, known, currency, is_frozen=bool(known.restrictions))
        if limited_as is not None:
            self.refuse_debit(payer, limited_as, amount)
        required = amount + (0 if fee is None else fee.amount)
        available = self.available(payer)
        if required > available + known.line:
            facts = {"available": Sum(available, known.currency)}
            if fee is not None:
                facts |= {"required": Sum(required, known.currency), "fee": Sum(fee.amount, known.currency)}
            raise Refusal("insufficient_funds", payer, **facts)
        if known.posted - required < -BALANCE_MAX:
            raise Refusal("balance_overflow", payer)

    def ask_payee(
        self,
        payee: str,
        amount: int,
        currency: str,
        fee: Fee | None = None,
        limits: Callable[[str, int], None] | None = None,
    ) -> None:
        """Refuse what the payee may not receive."""
        known = self.wallets[payee]
        _refuse_use(payee, known, currency, is_frozen="all" in known.restrictions.values())
        if limits is not None:
            limits(payee, amount)
        if fee is not None and fee.amount > amount:
            raise Refusal("fee_exceeds_amount", payee, fee=Sum(fee.amount, known.currency))
        if known.posted + amount > BALANCE_MAX:
            raise Refusal("balance_overflow", payee)

    def charged(self, wallet: str, fee: Fee | None) -> list[Entry]:
        """Return the entries of a fee."""
        if fee is None:
            return []
        known = self.wallets[wallet]
        taken = Entry(wallet, None, known.currency, -fee.amount, True, fee.rule, fee.version, known.waived)
        return [taken, Entry(wallet, f"fees:{known.currency}", known.currency, fee.amount, True)]

    def parts(self, amount: int, to: Sequence[asked.To], whom: str) -> list[int]:
        """Return what each gets."""
        found = parts_of(amount, to)
        if isinstance(found, str):
            raise Refusal(found, whom)
        return found

    def pay(self, operation: str, payer: str, to: Sequence[asked.To], parts: Sequence[int]) -> list[Entry]:
        """Ask every payee; return the entries of what they get."""
        currency = self.wallets[payer].currency
        entries = []
        for each, part in zip(to, parts, strict=True):
            if each.wallet is None:
                entries.append(Entry(payer, f"external:{currency}", currency, part))
                continue
            if each.wallet == payer:
                raise Refusal("same_wallet", payer)
            fee = self.payees_fee(operation, payer, currency, part)
            self.ask_payee(each.wallet, part, currency, fee, self.refuse_balance)
            entries += [Entry(each.wallet, None, currency, part), *self.charged(each.wallet, fee)]
        return entries

    def deposit(self, name: str, command: asked.Deposit) -> None:
        """Take money in."""
        wallet, amount, currency = command.wallet, command.amount, command.currency
        fee = self.payees_fee("deposit", wallet, self.wallets[wallet].currency, amount)
        self.ask_payee(wallet, amount, currency, fee, self.refuse_deposit)
        self.count_deposit(wallet, amount)
        entries = [Entry(wallet, None, currency, amount), Entry(wallet, f"external:{currency}", currency, -amount)]
        self.post(name, "deposit", [*entries, *self.charged(wallet, fee)])

    def withdraw(self, name: str, command: asked.Withdraw) -> None:
        """Pay money out."""
        wallet, amount, currency = command.wallet, command.amount, command.currency
        fee = self.payers_fee("withdrawal", wallet, amount)
        self.ask_payer(wallet, amount, currency, fee, "withdrawal")
        self.count_debit(wallet, "withdrawal", amount)
        entries = [Entry(wallet, None, currency, -amount), Entry(wallet, f"external:{currency}", currency, amount)]
        self.post(name, "withdrawal", [*entries, *self.charged(wallet, fee)])

    def transfer(self, name: str, command: asked.Transfer) -> None:
        """Move money to another wallet."""
        payer, payee, amount, currency = command.payer, command.payee, command.amount, command.currency
        paid = self.payers_fee("transfer", payer, amount)
        taken = self.payees_fee("transfer", payer, self.wallets[payer].currency, amount)
        self.ask_payer(payer, amount, currency, paid, "transfer")
        self.ask_payee(payee, amount, currency, taken, self.refuse_balance)
        self.count_debit(payer, "transfer", amount)
        entries = [Entry(payer, None, currency, -amount), Entry(payee, None, currency, amount)]
        self.post(name, "transfer", [*entries, *self.charged(payer, paid), *self.charged(payee, taken)])

    def pay_several(self, name: str, command: asked.Pay) -> None:
        """Pay several."""
        payer, amount, currency = command.payer, command.amount, command.currency
        parts = self.parts(amount, command.to, payer)
        fee = self.payers_fee("payment", payer, amount)
        self.ask_payer(payer, amount, currency, fee, "payment")
        paid = self.pay("payment", payer, command.to, parts)
        self.count_debit(payer, "payment", amount)
        sent = Entry(payer, None, currency, -amount)
        self.post(name, "payment", [sent, *paid, *self.charged(payer, fee)])


def _refuse_use(name: str, wallet: Wallet, currency: str, *, is_frozen: bool) -> None:
    if wallet.is_closed:
        raise Refusal("wallet_closed", name)
    if is_frozen:
        told = [{"source": source, "scope": scope} for source, scope in wallet.restrictions.items()]
        raise Refusal("wallet_frozen", name, restrictions=told)
    if wallet.currency != currency:
        raise Refusal("currency_mismatch", name, currency=wallet.currency)
