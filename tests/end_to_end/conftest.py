"""One running host for all tests of a module: starting it anew for each would take longer than the tests."""

import pytest

from tests.end_to_end.process import Campus, serving


@pytest.fixture(scope="module")
def campus(tmp_path_factory):
    return Campus(tmp_path_factory.mktemp("campus") / "data", terminals=200)


@pytest.fixture(scope="module")
def host(campus):
    with serving(campus) as host:
        yield host


@pytest.fixture(scope="module")
def witness(campus, host):
    """Another terminal, signed on before anything happens: whatever one does, the others sell on."""
    with host.sign_on(campus.till()) as line:
        yield line
