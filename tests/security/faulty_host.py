"""`fanka serve` with faults built in, each tripped by an amount or a number: run as a program of its own by tests.

The faults strike where secrets are local variables, so that a traceback that showed values would show them.
"""

from __future__ import annotations

import sys
from typing import Any, Final

CODE_FEN: Final = 4_242
"""A sale of this amount trips an exception in the handler, with the payer at hand."""
RULE_FEN: Final = 4_252
"""... in the ledger's thread, in the rule."""
FULL_FEN: Final = 4_343
"""... meets a full disk."""
BROKEN_FEN: Final = 4_444
"""... meets a failed fsync: the process must end."""
WRAP_VERSION: Final = 999
"""A key request for this version trips an exception with both root keys at hand."""
HELLO_VERSION: Final = 998
"""HELLO with this version: an exception with the terminal's record and key at hand."""


def build_in() -> None:
    """Replace what the faults need."""
    from server.handlers import HANDLERS
    from server.ledger import ledger
    from server.ledger.sqlite import SqliteStore
    from server.ledger.store import StoreBroken, StoreFull
    from server.operations.terminals import Terminals
    from server.root_keys import RootKeys

    for kind, handler in list(HANDLERS.items()):
        real = handler.to_command

        def to_command(caller: Any, message: Any, real: Any = real) -> Any:
            payer = getattr(message, "payer", b"")
            command = real(caller, message)
            if getattr(message, "amount_fen", 0) == CODE_FEN:
                raise RuntimeError("a bug in a handler") from ValueError(len(payer))
            return command

        HANDLERS[kind] = handler._replace(to_command=to_command)

    rules = ledger.RULES
    for kind, rule in list(rules.items()):

        def tripping(batch: Any, command: Any, rule: Any = rule) -> Any:
            if getattr(command, "amount_fen", 0) == RULE_FEN:
                raise RuntimeError("a bug in a rule")
            return rule(batch, command)

        rules[kind] = tripping

    save = SqliteStore.save

    def faulty_save(self: Any, transfers: Any, entries: Any, accounts: Any, changes: Any) -> None:
        amounts = {transfer.amount_fen for transfer in transfers}
        if FULL_FEN in amounts:
            raise StoreFull("database or disk is full")
        if BROKEN_FEN in amounts:
            raise StoreBroken("disk I/O error")
        save(self, transfers, entries, accounts, changes)

    SqliteStore.save = faulty_save  # type: ignore[method-assign,assignment]
    next_key = Terminals.next_key

    def faulty_next_key(self: Any, terminal_id: int, key_version: int) -> Any:
        if key_version == WRAP_VERSION:
            record = self._desk.registry.find_terminal(terminal_id)
            root_key = self._desk.keys.unwrap(record.wrapped_key)
            raise RuntimeError("a bug near keys") from KeyError(len(root_key))
        return next_key(self, terminal_id, key_version)

    Terminals.next_key = faulty_next_key  # type: ignore[method-assign]
    of = RootKeys.of

    def faulty_of(self: Any, terminal: Any, record: Any, key_version: int) -> Any:
        if key_version == HELLO_VERSION:
            root_key = self._keys.unwrap(record.wrapped_key)
            assert not root_key, "a bug in a handshake"
        return of(self, terminal, record, key_version)

    RootKeys.of = faulty_of  # type: ignore[method-assign]


if __name__ == "__main__":
    build_in()
    from tools.main import main

    sys.argv = ["fanka", *sys.argv[1:]]
    main()
