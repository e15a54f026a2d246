"""The bugs: where each is planted, and which rigs must find it.

Each is a mistake somebody could make in good faith. The text that is replaced must stand exactly once in its file;
a test sees to it that every bug can still be planted.
"""

from __future__ import annotations

from typing import Final

from tests.mutants.functions import FUNCTION_MUTANTS
from tests.mutants.keypad import KEYPAD_MUTANTS
from tests.mutants.mutant import Edit, Mutant

RIGS: Final[dict[str, tuple[str, ...]]] = {
    "simulation": ("-m", "tests.simulation", "--seeds", "50", "--small", "--no-shrink", "--stop-at-first"),
    "torture": ("-m", "tests.torture", "--points", "1500"),
    "kill": ("-m", "tests.kill", "--kills", "4"),
    "security": (
        *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow"),
        *("tests/protocol/test_attacks.py", "tests/protocol/test_connection.py", "tests/protocol/test_security.py"),
        "tests/security",
    ),
    "rules": (
        *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow"),
        *("tests/server/ledger/rules", "tests/server/handlers", "tests/server/test_passwords.py"),
    ),
    "keypad": (
        *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow"),
        *("tests/terminal_emulator/functions", "tests/terminal_emulator/test_offline.py"),
        "tests/terminal_emulator/test_slip.py",
    ),
    "machines": ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/server/ledger/test_ledger.py"),
}
"""How each rig is run on a mutant: small, for most bugs are found at once."""

MUTANTS: Final = (
    Mutant(
        "no-tombstone",
        "a reversal of something unseen is confirmed and leaves nothing behind",
        (
            Edit(
                "server/ledger/rules/reversal.py",
                "    wanted = moved_back(batch, original) if original is not None else {}\n",
                "    if original is None:\n        return Outcome(Decision.APPROVED)\n"
                "    wanted = moved_back(batch, original) if original is not None else {}\n",
            ),
        ),
        ("simulation", "machines"),
    ),
    Mutant(
        "answer-before-commit",
        "outcomes are handed out before the commit that makes them durable",
        (
            Edit(
                "server/gate.py",
                "            outcomes: Sequence[Outcome] = await self._executor.run(self._commit, commands)\n",
                "            outcomes: Sequence[Outcome] = await self._executor.run(self._decide, commands)\n"
                "            for waiting, result in zip(batch, outcomes, strict=True):\n"
                "                waiting.finish(outcome.Value(result))\n"
                "            outcomes = await self._executor.run(self._commit, commands)\n",
            ),
            Edit(
                "server/gate.py",
                "    def _commit(self, commands: list[Command]) -> list[Outcome]:\n",
                "    def _decide(self, commands: list[Command]) -> list[Outcome]:\n"
                "        class Back(Exception):\n"
                "            pass\n"
                "        ledger, save = self._ledger, self._ledger.store.save\n"
                "        before, found = (ledger._head_seq, ledger._head_digest), []\n"
                "        from server.ledger.batch import Batch\n"
                "        from server.ledger.rules import RULES\n"
                "        try:\n"
                "            with ledger.store.transaction():\n"
                "                batch = Batch(\n"
                "                    now_ms=self._now_ms(), today=ledger.business_day, limits=ledger.limits,\n"
                "                    head_seq=before[0], head_digest=before[1],\n"
                "                )\n"
                "                ledger._load(batch, commands)\n"
                "                found = [RULES[type(command)](batch, command) for command in commands]\n"
                "                raise Back\n"
                "        except Back:\n"
                "            return found\n"
                "\n"
                "    def _commit(self, commands: list[Command]) -> list[Outcome]:\n",
            ),
        ),
        ("simulation", "kill"),
    ),
    Mutant(
        "no-hash-compare",
        "a number reused with other content gets the answer of the first request",
        (
            Edit(
                "server/ledger/batch.py",
                "        if known.request_hash != request_hash or STANDS_FOR.get(known.kind, known.kind) != kind:\n",
                "        if STANDS_FOR.get(known.kind, known.kind) != kind:\n",
            ),
        ),
        ("simulation", "machines"),
    ),
    Mutant(
        "nonce-reused",
        "every frame of a session is sealed under the same nonce",
        (
            Edit(
                "protocol/connection.py",
                "seal.close(sequence, header, body)",
                "seal.close(0, header, body)",
            ),
            Edit(
                "protocol/connection.py",
                "seal.open(frame.sequence, frame.header, frame.body)",
                "seal.open(0, frame.header, frame.body)",
            ),
        ),
        ("simulation", "security"),
    ),
    Mutant(
        "store-error-swallowed",
        "a batch that could not be written is answered as if it had been",
        (
            Edit(
                "server/gate.py",
                "            outcomes = [FAULT] * len(batch)\n",
                "            outcomes = [\n"
                "                Outcome(Decision.APPROVED, getattr(w.work, 'amount_fen', 0), 1, 1, 1) for w in batch\n"
                "            ]\n",
            ),
        ),
        ("simulation",),
    ),
    Mutant(
        "sync-off",
        "commits are not synced to the disk",
        (
            Edit(
                "server/ledger/sqlite.py",
                '            self._pragma("synchronous", "FULL")\n',
                '            self._pragma("synchronous", "OFF")\n',
            ),
            Edit(
                "server/ledger/sqlite.py",
                '            if (synchronous := self._pragma("synchronous")) != 2:\n',
                '            if (synchronous := self._pragma("synchronous")) == 77:\n',
            ),
        ),
        ("torture",),
    ),
    Mutant(
        "declined-reversed",
        "the reversal of a declined sale pays the customer",
        (
            Edit(
                "server/ledger/rules/reversal.py",
                "    if original.decision != Decision.APPROVED or batch.family.is_under_a_reversal(original):\n",
                "    fen = original.amount_fen\n"
                "    if original.decision and original.account_id and original.merchant_account_id:\n"
                "        return {original.merchant_account_id: -fen, original.account_id: fen}\n"
                "    if original.decision != Decision.APPROVED or batch.family.is_under_a_reversal(original):\n",
            ),
        ),
        ("simulation", "machines"),
    ),
    Mutant(
        "overdraft",
        "what the customer has is not looked at",
        (
            Edit(
                "server/ledger/rules/sale.py",
                "        if charged_fen > payer.balance_fen:\n",
                "        if charged_fen > payer.balance_fen + 10**9:\n",
            ),
        ),
        ("simulation", "machines"),
    ),
    Mutant(
        "send-before-store",
        "a terminal sends a sale that it has not stored",
        (
            Edit(
                "terminal_emulator/brain.py",
                "        self._storage.save(order.record)\n",
                "        self._storage.used = (order.record.batch, order.record.stan)\n",
            ),
        ),
        ("simulation",),
    ),
    Mutant(
        "sequence-not-checked",
        "a host takes frames of a session again and in any order",
        (
            Edit(
                "protocol/connection.py",
                "        if frame.sequence != self._received:\n",
                "        if frame.sequence > self._received:\n",
            ),
        ),
        ("security",),
    ),
    *FUNCTION_MUTANTS,
    *KEYPAD_MUTANTS,
)
