"""One bug for every function of the keypad, planted where somebody could have made it in good faith."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Edit, Mutant


def _one(name: str, says: str, path: str, old: str, new: str, *rigs: str) -> Mutant:
    return Mutant(name, says, (Edit(path, old, new),), rigs)


RULES: Final = "server/ledger/rules/"

FUNCTION_MUTANTS: Final = (
    Mutant(
        "void-twice",
        "a sale that was voided is voided again",
        (
            Edit(
                RULES + "void.py",
                "    if not batch.family.stands(original) or batch.family.is_under_a_reversal(original):\n",
                "    if batch.family.is_under_a_reversal(original):\n",
            ),
            Edit(
                RULES + "void.py",
                "    for follower in batch.family.standing(original):\n",
                "    for follower in [one for one in batch.family.standing(original) if one.kind != void.kind]:\n",
            ),
        ),
        ("simulation",),
    ),
    _one(
        "void-of-another-day",
        "what was sold yesterday is voided, after its day was counted",
        RULES + "void.py",
        "        if original.business_day != batch.today or original.batch != void.identity.batch:\n",
        "        if original.batch != void.identity.batch:\n",
        "simulation",
    ),
    _one(
        "refund-above-the-rest",
        "each refund is held against the whole sale, not against what is left of it",
        RULES + "refund.py",
        "    if refund.amount_fen > remaining_of(batch, original):\n",
        "    if refund.amount_fen > original.amount_fen:\n",
        "simulation",
    ),
    _one(
        "refund-loses-a-fen",
        "of a discounted sale each refund is rounded by itself, so that the last one does not bring back the rest",
        RULES + "refund.py",
        "original.adjust_fen) * amount_back // original.amount_fen - charge_back\n",
        "original.adjust_fen) * amount_fen // original.amount_fen\n",
        "simulation",
    ),
    _one(
        "refund-reversed",
        'a terminal reverses a refund that nobody answered: the customer who was told "open" is not paid',
        "terminal_emulator/flows/requests.py",
        "NEVER_REVERSED: Final = frozenset({TransactionKind.REFUND})\n",
        "NEVER_REVERSED: Final = frozenset({TransactionKind.SALE}) - {TransactionKind.SALE}\n",
        "simulation",
    ),
    _one(
        "hold-of-nothing",
        "more is held than the payer has",
        RULES + "preauth.py",
        "        if preauth.amount_fen > payer.balance_fen:\n",
        "        if preauth.amount_fen > payer.balance_fen + 10**9:\n",
        "simulation",
    ),
    _one(
        "hold-for-ever",
        "nobody frees a hold whose time is over",
        "server/upkeep.py",
        "        await expire_due_holds(gate)\n",
        "        await trio.lowlevel.checkpoint()\n",
        "simulation",
    ),
    _one(
        "completion-above-the-hold",
        "the merchant takes more than was held",
        RULES + "completion.py",
        "    if completion.amount_fen > original.amount_fen:\n",
        "    if completion.amount_fen > 2 * original.amount_fen:\n",
        "simulation",
    ),
    _one(
        "bonus-from-the-merchant",
        "what a top-up is credited beyond the cash, the merchant pays",
        RULES + "topup.py",
        "merchant_account_id: -amount_fen}\n    add(wanted, BONUS_ACCOUNT, -bonus_fen)\n",
        "merchant_account_id: -amount_fen}\n    add(wanted, merchant_account_id, -bonus_fen)\n",
        "simulation",
    ),
    _one(
        "top-up-void-of-spent-money",
        "a top-up is voided whose money was spent",
        RULES + "void.py",
        "        if decision == Decision.APPROVED and short:\n",
        "        if decision == Decision.APPROVED and short and void.kind != Kind.TOPUP_VOID:\n",
        "simulation",
    ),
    _one(
        "points-kept",
        "money comes back by a refund, and the points it earned stay",
        RULES + "refund.py",
        "    add_points(batch, wanted, batch.accounts.get(original.account_id), -points)\n",
        "    add_points(batch, wanted, batch.accounts.get(original.account_id), -points // 10**9)\n",
        "simulation",
    ),
    _one(
        "points-from-nowhere",
        "more points are spent than there are",
        RULES + "points.py",
        "        if sale.amount_fen > points_account(batch, payer).balance_fen:\n",
        "        if sale.amount_fen > points_account(batch, payer).balance_fen + 10**6:\n",
        "simulation",
    ),
    _one(
        "discount-of-the-first-fen",
        "a discount is rounded in favour of the customer",
        "server/ledger/tariff.py",
        "        return amount_fen * discounts.get(meal_id, discounts.get(NO_MEAL, 0)) // 100\n",
        "        return -(-amount_fen * discounts.get(meal_id, discounts.get(NO_MEAL, 0)) // 100)\n",
        "simulation",
    ),
    _one(
        "balance-without-holds",
        "a balance inquiry says that nothing is held",
        RULES + "lookup.py",
        "        held_fen=batch.held.get(payer.account_id, 0),\n",
        "        held_fen=0,\n",
        "simulation",
    ),
    _one(
        "look-up-of-what-is-refunded",
        "a look-up says that all of a sale can still be refunded",
        RULES + "lookup.py",
        "        return remaining_of(batch, found)\n",
        "        return found.amount_fen\n",
        "simulation",
    ),
    _one(
        "pin-guessed-for-ever",
        "wrong PINs are not counted",
        RULES + "checks.py",
        "    batch.set_card(msgspec.structs.replace(card, pin_tries=card.pin_tries + 1))\n",
        "",
        "rules",
    ),
    _one(
        "code-paid-twice",
        "a payment code is taken a second time",
        RULES + "checks.py",
        "    if payer is not None and asked.code_step <= payer.code_step:\n",
        "    if payer is not None and asked.code_step < payer.code_step:\n",
        "simulation",
    ),
    _one(
        "batch-open-for-ever",
        "a request in a batch that is settled is taken",
        RULES + "checks.py",
        "    if asked.identity.batch <= terminal.closed_batch:\n",
        "    if asked.identity.batch < terminal.closed_batch:\n",
        "rules",
    ),
    _one(
        "offline-record-skipped",
        "an offline record is taken though the one before it is missing",
        RULES + "offline.py",
        "    follows = sale.saf_sequence == terminal.saf_sequence + 1\n",
        "    follows = sale.saf_sequence > terminal.saf_sequence\n",
        "rules",
    ),
    _one(
        "stopped-card-paid",
        "the merchant is paid for a card that stood on the terminal's stop list",
        RULES + "offline.py",
        "    if stopped_in is not None and stopped_in <= sale.stop_list_version:\n",
        "    if stopped_in is not None and stopped_in < sale.stop_list_version:\n",
        "rules",
    ),
    _one(
        "settled-though-reversed",
        "a settlement counts a sale that was reversed",
        "server/ledger/settlement.py",
        "        standing = Standing.REVERSED if stan in undone else ",
        "        standing = Standing.REVERSED if stan in undone and not is_approved else ",
        "simulation",
    ),
    _one(
        "settlement-answered-once",
        "a terminal that missed the answer to its settlement is told that somebody else has closed its batch",
        "server/ledger/settlement.py",
        "        if found.request_hash == claim.request_hash:\n",
        "        if found.request_hash == claim.request_hash and found.closed_at_ms == now_ms:\n",
        "simulation",
    ),
    _one(
        "sold-into-a-settled-batch",
        "a terminal goes on under the number of the batch it settles",
        "terminal_emulator/storage.py",
        "        self.used = max(self.used, (batch + 1, 0))\n",
        "        self.used = max(self.used, (batch, 0))\n",
        "simulation",
    ),
)
