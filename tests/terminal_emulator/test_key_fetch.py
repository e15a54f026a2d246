"""A terminal fetches its next key over a real line: what the line does to it ends no program."""

import trio

from protocol import Connection
from protocol.messages import Auth, Hello, KeyAnswer, KeyRequest, Message, SignOffAnswer, SignOffRequest
from protocol.security import wrap_root_key
from terminal_emulator.settings import Settings
from tests.terminal_emulator.line_host import LineHost, machine_at, until
from tests.terminal_emulator.till import ToyHost, ready_of, settings_of

NEXT = bytes(range(32, 64))


class NoisyHost(LineHost):
    """Has a next key, and a line that says something nobody understands before it."""

    noise = b"FK" + bytes(30)

    async def _answer(self, stream: trio.abc.Stream, connection: Connection, message: Message) -> None:
        if isinstance(message, Hello) and message.key_version == 2:
            self._root_key = NEXT
        if isinstance(message, Auth):
            waiting = 2 if connection.hello.key_version == 1 else 0
            ready = ready_of()
            await stream.send_all(connection.send(type(ready)(**(fields(ready) | {"next_key_version": waiting}))))
        elif isinstance(message, KeyRequest):
            wrapped = wrap_root_key(self._root_key, connection.terminal, 2, NEXT)
            await stream.send_all(self.noise)
            await stream.send_all(connection.send(KeyAnswer(response_code="00", key_version=2, wrapped_key=wrapped)))
        elif isinstance(message, SignOffRequest):
            await stream.send_all(connection.send(SignOffAnswer()))
        else:
            await super()._answer(stream, connection, message)


def fields(message: Message) -> dict:
    return {name: getattr(message, name) for name in message.__struct_fields__}


async def test_noise_while_a_key_is_fetched_does_not_matter(nursery, autojump_clock):
    """Found by the campus simulator, seed 2010: a damaged frame in that moment ended the terminal's program."""
    kept: list[Settings] = []
    settings = settings_of()
    machine = machine_at(NoisyHost(nursery, ToyHost(), settings.root_key), settings, keep_settings=kept.append)
    machine.after(machine.brain.power_on(machine.now()))
    nursery.start_soon(machine.run)
    nursery.start_soon(machine.ticker.run)
    await until(machine, lambda m: m.online)
    assert [(one.key_version, one.next_key_version) for one in kept] == [(1, 2), (2, 0)]
    nursery.cancel_scope.cancel()
