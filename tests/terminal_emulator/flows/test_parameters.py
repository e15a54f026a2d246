"""Parameters are fetched when the host names another version, and only then."""

import pytest

from protocol.limits import HEARTBEAT_S
from protocol.messages import ParametersRequest
from protocol.messages.parameters import Profile
from terminal_emulator.flows.parameters import RETRY_S
from terminal_emulator.parameters import Parameters
from tests.terminal_emulator.till import NUMBER, Till, ToyHost, changed, reject_of


@pytest.fixture
def host():
    host = ToyHost()
    host.config_version, host.parameters = 3, {"profile": Profile.MEMBER, "repeat_guard": 0}
    return host


def test_another_version_in_ready_is_fetched_and_kept(host):
    till = Till()
    assert till.online(config_version=3) == ["Parameters"]
    assert till.answer(host.answer(NUMBER, till.request)) == []
    assert till.storage.kept(Parameters).config_version == 3
    assert till.brain.till.profile is Profile.MEMBER
    till.power_on()
    assert till.brain.till.profile is Profile.MEMBER
    assert till.online(config_version=3) == []


def test_a_change_is_heard_of_with_the_next_echo(host):
    till = Till()
    till.online()
    assert till.wait(HEARTBEAT_S) == ["Echo"]
    assert till.answer(host.answer(NUMBER, till.request)) == ["Parameters"]


def test_a_sale_goes_first(host):
    till = Till()
    till.keys("5")
    till.online(config_version=3)
    till.keys("enter")
    till.tap()
    assert till.answer(host.answer(NUMBER, till.request)) == ["Sale 1"]


@pytest.mark.parametrize("how", ["reject", "code"])
def test_a_host_that_does_not_tell_is_asked_again_later(host, how):
    till = Till()
    till.online(config_version=3)
    told = (
        reject_of(till.request) if how == "reject" else changed(host.answer(NUMBER, till.request), response_code="96")
    )
    till.answer(told)
    said = []
    while not isinstance(till.request, ParametersRequest) or not said:
        said += till.wait(1)
        if (
            till.request.layout.mti == 0x0800
            and not till.brain.is_line_free
            and not isinstance(till.request, ParametersRequest)
        ):
            till.answer(host.answer(NUMBER, till.request))
        assert till.time_s < 100 + 2 * RETRY_S
    assert till.brain.till.parameters.config_version == 0


def test_the_version_that_came_counts_even_if_another_was_named(host):
    till = Till()
    till.online(config_version=2)
    assert till.answer(host.answer(NUMBER, till.request)) == []
    assert till.brain.till.parameters.config_version == 3
