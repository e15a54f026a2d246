"""A session opened by a one-time code, as far as it is not about the code itself."""

from protocol import TerminalNumber
from protocol.messages import SignOffAnswer, SignOffRequest
from protocol.security import root_key_from_enrol_code
from tests.server.host import open_host
from tests.wire import Till

NUMBER = TerminalNumber(3, 77)


async def test_it_can_be_signed_off():
    """A terminal that was enrolled may leave politely; it used to be answered with a reject that could not be sent."""
    async with open_host() as rig:
        code = bytes.fromhex(rig.host.admin.terminals.enrol(str(NUMBER), rig.merchant_id, with_code=True)["code"])
        line = await rig.sign_on(Till(NUMBER, root_key_from_enrol_code(code, NUMBER), key_version=0))
        assert await line.ask(SignOffRequest()) == SignOffAnswer()
        assert await line.is_over()
