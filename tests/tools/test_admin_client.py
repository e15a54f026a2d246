"""The way to the ledger: through the host while it runs, directly when none does, a clear word when neither goes."""

from __future__ import annotations

import threading
from functools import partial

import pytest
import trio
from prometheus_client import CollectorRegistry

from server.admin import AdminError
from server.control import serve_control
from server.folder import FolderBusy, FolderError
from server.gate import Gate, InlineExecutor
from server.metrics import Metrics
from tests.server.office import Office
from tools.admin_client import open_admin


async def test_a_running_host_is_asked(folder):
    office = Office()
    gate = Gate(
        office.ledger,
        InlineExecutor(),
        Metrics(CollectorRegistry()),
        now_ms=lambda: office.now_ms,
        batch_max=8,
        queue_max=8,
    )

    def administer() -> list[str]:
        with open_admin(folder) as admin:
            admin.call("merchant.add", name="一食堂")
            with pytest.raises(AdminError, match="which is merchant 1"):
                admin.call("merchant.add", name="一食堂")
            return [row["name"] for row in admin.call("merchant.listing")]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)
        await nursery.start(partial(serve_control, folder.control_path, office.admin, gate))
        assert await trio.to_thread.run_sync(administer) == ["一食堂"]
        nursery.cancel_scope.cancel()
    assert [record.name for record in office.registry.merchants()] == ["一食堂"]
    office.store.close()


def test_without_a_host_the_ledger_is_opened_and_locked(folder):
    with open_admin(folder) as admin:
        admin.call("merchant.add", name="一食堂")
        with pytest.raises(FolderBusy, match="in use by fanka admin"), folder.locked("fanka serve"):
            pass
    with folder.locked("fanka serve"):
        pass
    with open_admin(folder) as admin:
        assert admin.call("merchant.listing")[0]["name"] == "一食堂"


def test_the_first_business_day_is_opened(folder):
    with open_admin(folder) as admin:
        assert len(admin.call("day.show")) == 1
        admin.call("card.issue", uid="04", student_number="S1", name="张三")
        assert admin.call("account.topup", who="S1", amount_fen=5, batch=2, line=1)["balance_fen"] == 5


def test_a_host_that_holds_the_lock_but_does_not_answer(folder):
    said = r"in use by fanka serve, process \d+.*does not answer on control.sock"
    with folder.locked("fanka serve"), pytest.raises(FolderBusy, match=said), open_admin(folder, patience_s=0):
        pass


def test_a_dead_hosts_socket_is_no_host(folder):
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder.control_path))
    with open_admin(folder) as admin:
        assert admin.call("merchant.listing") == []


def test_a_host_that_hangs_up_leaves_it_open_whether_it_is_done(folder):
    import socket

    def hang_up(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(10)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.control_path))
        listener.listen()
        thread = threading.Thread(target=hang_up, args=[listener])
        thread.start()
        with open_admin(folder) as admin, pytest.raises(AdminError, match="it may or may not be done"):
            admin.call("merchant.add", name="x")
        thread.join()


def test_no_folder(tmp_path):
    from server.folder import DataFolder

    with pytest.raises(FolderError, match=r"expected a data folder with fanka.toml"), open_admin(DataFolder(tmp_path)):
        pass
