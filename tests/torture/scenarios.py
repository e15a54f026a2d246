"""Everything that is tortured."""

from __future__ import annotations

from tests.torture import of_folder, of_functions, of_ledger, of_settlement
from tests.torture.table import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Scenario", "of_folder", "of_functions", "of_ledger", "of_settlement"]
