"""Every bundled scenario on a real host process, over real sockets: what the LCD, the slips and the ledger say.

One host serves them all; each script has a merchant, a terminal and customers of its own, and the next one a fresh
memory. `fanka scenario NAME` shows any of them key by key.
"""

import random
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from server.folder import DataFolder
from server.ledger.verify import verify
from server.stores import open_ledger
from tools.host_process import HostProcess, serving
from tools.scenario import ALONE, bundled, play, prepare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with serving(folder_at(tmp_path_factory.mktemp("scenarios"))) as host:
        yield host


def folder_at(path: Path) -> DataFolder:
    changes = {("listen", "port"): 0, ("http", "port"): 0}
    return DataFolder.create(path / "data", random.Random(11).randbytes, changes)


@pytest.mark.parametrize("path", bundled(), ids=lambda path: path.stem)
def test_a_scenario(host, tmp_path, path):
    script = path.read_text(encoding="utf-8")
    number = 1 + bundled().index(path)
    with serving(folder_at(tmp_path)) if ALONE in script else nullcontext(host) as its_host:
        port = its_host.running.terminals[1]
        scene = prepare(its_host.folder, script, f"7-{number}", port, f"第{number}食堂")
        play(scene, script, path.name, tmp_path)


def test_the_ledger_holds_after_all_of_them(host):
    store = open_ledger(host.folder)
    try:
        assert [check for check in verify(store) if not check.ok] == []
    finally:
        store.close()
