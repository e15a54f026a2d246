"""The state table: its shape, and that both ends refuse whatever is not in it, whoever sends it."""

from itertools import product

import pytest

from protocol import LocalProtocolError, Reason, Role, State
from protocol.framing import Flag
from protocol.messages.fields import SENDERS
from protocol.state import HANDSHAKE_STATES, TRANSITIONS, Kind, expected_in
from tests.protocol.pair import ConnectionPair, forge, refusal
from tests.protocol.samples import ALL_LAYOUTS, SALE, SAMPLE_OF, SAMPLES, sample_id

KINDS_ON_THE_WIRE = {layout.kind for layout in ALL_LAYOUTS}


def in_state(state: State) -> ConnectionPair:
    """A pair whose two ends are in `state`."""
    if state in HANDSHAKE_STATES or state is State.READY:
        return ConnectionPair().to_state(state)
    pair = ConnectionPair().to_state(State.READY)
    samples = {layout.kind: SAMPLE_OF[layout.message] for layout in ALL_LAYOUTS}
    if state is State.REQUESTED:
        return pair.say((Role.TERMINAL, SALE))
    pair.say((Role.TERMINAL, samples[Kind.SIGN_OFF]))
    if state is State.CLOSED:
        pair.say((Role.HOST, samples[Kind.SIGNED_OFF]))
    return pair


class TestTable:
    def test_every_state_is_in_it_and_can_be_reached(self):
        assert set(TRANSITIONS) == set(State)
        reached = {State.CONNECTED} | {state for moves in TRANSITIONS.values() for state in moves.values()}
        assert reached == set(State)

    def test_every_kind_is_in_it_and_is_sent_by_one_role(self):
        moves = {(kind, role) for moves in TRANSITIONS.values() for role, kind in moves}
        assert moves == set(SENDERS.items())
        assert set(SENDERS) == set(Kind)

    def test_nothing_follows_the_end(self):
        assert TRANSITIONS[State.CLOSED] == {}

    def test_ready_is_the_only_way_in(self):
        ways = [(state, move) for state, moves in TRANSITIONS.items() for move in moves if moves[move] is State.READY]
        outside = [way for way in ways if way[0] in HANDSHAKE_STATES]
        assert outside == [(State.AUTH_SENT, (Role.HOST, Kind.READY))]

    @pytest.mark.parametrize(
        ("state", "sender", "words"),
        [
            (State.CONNECTED, Role.TERMINAL, "hello"),
            (State.CONNECTED, Role.HOST, "nothing"),
            (State.READY, Role.TERMINAL, "request or sign_off"),
            (State.CLOSED, Role.TERMINAL, "nothing"),
        ],
    )
    def test_expectation_in_words(self, state, sender, words):
        assert expected_in(state, sender) == words

    def test_peer(self):
        assert Role.TERMINAL.peer is Role.HOST
        assert Role.HOST.peer is Role.TERMINAL

    def test_push_is_reserved(self):
        """No message of version 1 is pushed: the first one has to say what happens when it crosses a request."""
        assert set(Kind) - KINDS_ON_THE_WIRE == {Kind.PUSH}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("message", SAMPLES, ids=sample_id)
class TestNotInTheTable:
    def test_is_not_sent(self, state, message):
        pair = in_state(state)
        for role in Role:
            if (role, message.layout.kind) in TRANSITIONS[state]:
                continue
            end = pair.ends[role]
            with pytest.raises(LocalProtocolError) as caught:
                end.send(message)
            assert str(caught.value) == (
                f"{message.layout.title} while {state}: the {role} may send {expected_in(state, role)}"
            )
            assert end.state is state  # nothing was sent, so nothing has changed

    def test_is_refused_when_received(self, state, message):
        """Well sealed, well formed: from an authentic peer whose program is wrong."""
        layout = message.layout
        if (layout.sender, layout.kind) in TRANSITIONS[state] or state is State.CLOSED:
            return
        pair = in_state(state)
        sender, receiver = pair.ends[layout.sender], pair.ends[layout.sender.peer]
        sealed = sender.state not in HANDSHAKE_STATES or state is State.AUTH_SENT
        error = refusal(receiver, forge(sender, layout.mti, layout.encode(message), flags=layout.flags))
        if layout.flags & Flag.SEALED and sealed:
            assert error.reason is Reason.STATE
            assert error.expected == f"{expected_in(state, layout.sender)} while {state}"
            assert error.got == layout.title
        elif not layout.flags & Flag.SEALED and not sealed:
            assert error.reason is Reason.STATE
        else:
            # Sealed before there are keys, or a handshake message under seal; or too long for a first frame.
            assert error.reason in (Reason.FLAGS, Reason.LENGTH)


def test_all_combinations_are_covered():
    assert len(list(product(State, SAMPLES))) == len(State) * len(ALL_LAYOUTS)
