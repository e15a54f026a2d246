"""Prices: of the terminal's own merchant."""

from __future__ import annotations

from protocol.messages import ProductAnswer, ProductRequest
from tests.server.host import open_host


async def test_a_price_is_found_by_the_code_of_ones_own_goods():
    async with open_host() as rig:
        rig.host.admin.perform(
            "product.set", {"merchant_id": rig.merchant_id, "code": "6901", "name": "红烧牛肉面", "price_fen": 1450}
        )
        line = await rig.sign_on(rig.enrol())
        assert await line.ask(ProductRequest(code="6901")) == ProductAnswer(
            response_code="00", name="红烧牛肉面", price_fen=1450
        )
        assert await line.ask(ProductRequest(code="6902")) == ProductAnswer(response_code="25")
        rig.merchant_id = rig.host.admin.merchants.add("二食堂")["merchant_id"]
        other = await rig.sign_on(rig.enrol())
        assert (await other.ask(ProductRequest(code="6901"))).response_code == "25"
