"""Parameters on the host's floor: what is in force for one terminal."""

from __future__ import annotations

from protocol.messages import Meal, ParametersAnswer, ParametersRequest, Profile
from protocol.messages.parameters import MEAL_NAME_SIZE, MEALS_MAX
from server.handlers.permitted import APPROVED, permitted
from server.operations.desk import Desk
from server.texts import cut_text


def run(desk: Desk, terminal_id: int, _message: ParametersRequest) -> ParametersAnswer:
    """All of them."""
    record = permitted(desk, terminal_id)
    if isinstance(record, str):
        return ParametersAnswer(response_code=record)
    found = desk.parameters.in_force(terminal_id, record.merchant_id)
    return ParametersAnswer(
        response_code=APPROVED,
        config_version=desk.changes.config_version(desk.ledger.history),
        profile=Profile(found.profile),
        repeat_guard=found.repeat_guard,
        sale_limit_fen=desk.ledger.limits.sale_limit_fen,
        offline_sale_limit_fen=found.offline_sale_fen,
        offline_card_limit_fen=found.offline_card_fen,
        offline_total_limit_fen=found.offline_total_fen,
        offline_count_limit=found.offline_count,
        pin_limit_fen=found.pin_sale_fen,
        discount_limit_percent=found.discount_percent,
        refund_days=found.refund_days,
        utc_offset_minutes=desk.ledger.tariff.utc_offset_min,
        meals=tuple(
            Meal(
                meal=meal.meal_id,
                start_minute=meal.start_minute,
                end_minute=meal.end_minute,
                name=cut_text(meal.name, MEAL_NAME_SIZE),
            )
            for meal in desk.catalogue.meals()[:MEALS_MAX]
        ),
    )


def undecided(_message: ParametersRequest, code: str) -> ParametersAnswer:
    """The terminal keeps what it has."""
    return ParametersAnswer(response_code=code)
