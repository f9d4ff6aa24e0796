"""What every test may ask for: a real PostgreSQL, and the simulator's seeds.

In: the command line and the environment (see ``tests.postgres``). Out: fixtures. Must hold: a test that needs
PostgreSQL gets one or fails with the remedy; nothing is skipped silently. Each xdist worker has a server of its own.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests import leftovers, trees
from tests.contained import Contained, no_bugs
from tests.memory import in_memory
from tests.postgres import PostgresMix, PostgresServer, describe_sources, open_server, sources
from tests.postgres_binaries import Binaries, PostgresUnavailable

# No deadline per example: other programs share the machine, a slow example is not a wrong one. `print_blob` replays.
settings.register_profile("syncd", deadline=None, print_blob=True)
settings.load_profile("syncd")

SERVER, MIX = "postgres_server", "postgres_mix"
# Variants of a test that touch no server: the kinds of SQLite, and trees with no node on PostgreSQL.
WITHOUT_POSTGRES = frozenset({"sqlite", "encrypted", "plain", "portable", "standard library", "()"})
LONGEST_FIRST = ("test_kill.py", "test_sequence_postgres.py", "test_smoke.py", "test_demo.py", "test_bad_line.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the simulator, so that a failure can be replayed by one command."""
    group = parser.getgroup("syncd")
    group.addoption("--sim-seconds", type=float, default=60.0, help="how long the smoke simulation runs, on one core")


def pytest_configure(config: pytest.Config) -> None:
    """`tmp_path` is in memory where there is room; workers get theirs from the process that starts them."""
    if not hasattr(config, "workerinput"):  # a worker's are those of the process that started it
        guard = leftovers.watch()
        if guard is not None:
            config.add_cleanup(lambda: leftovers.leave(guard))
    memory = in_memory()
    if memory and not config.option.basetemp:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and not sys.pycache_prefix:
        _keep_bytecode(config)


def _keep_bytecode(config: pytest.Config) -> None:
    """Hundreds of daemons are started: each would compile everything anew. The working copy stays without bytecode."""
    folder = tempfile.mkdtemp(prefix="syncd-bytecode-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    del os.environ["PYTHONDONTWRITEBYTECODE"]
    os.environ["PYTHONPYCACHEPREFIX"] = folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever touches PostgreSQL does so on every major version found on the machine."""
    if SERVER not in metafunc.fixturenames:
        if MIX in metafunc.fixturenames or not _has_variant_on_postgres(metafunc):
            return
        metafunc.fixturenames.append(SERVER)  # a fixture asks for it by name, in one of its variants
    try:
        found = sources()
    except PostgresUnavailable:
        found = [None]  # the fixture says so, with the remedy
    names = ["postgresql" if each is None else f"postgresql-{each.major}" for each in found]
    metafunc.parametrize(SERVER, found, indirect=True, scope="session", ids=names)


def _has_variant_on_postgres(metafunc: pytest.Metafunc) -> bool:
    found = metafunc.definition._fixtureinfo.name2fixturedefs.values()
    return any("postgres" in str(kind) for fixtures in found for fixture in fixtures for kind in fixture.params or ())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The variants without PostgreSQL run once. The longest files come first: whichever came last would keep one worker
    busy while the others have nothing left."""
    twice = [item for item in items if _is_again(item)]
    if twice:
        config.hook.pytest_deselected(items=twice)
        items[:] = [item for item in items if not _is_again(item)]
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


def _is_again(item: pytest.Item) -> bool:
    """Whether this is a variant over SQLite, for a server that is not the first."""
    spec = getattr(item, "callspec", None)
    if spec is None or spec.indices.get(SERVER, 0) == 0:
        return False
    kinds = [str(value) for name, value in spec.params.items() if name != SERVER]
    return not any("postgres" in kind for kind in kinds) and any(kind in WITHOUT_POSTGRES for kind in kinds)


def pytest_collection_finish() -> None:
    """Thousands of collected tests live until the end: the garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> list[str]:
    """Which PostgreSQL this run uses."""
    return describe_sources()


@pytest.fixture(autouse=True)
def contained() -> Iterator[Contained]:
    """What a barrier contained fails the test, unless it asks for this and clears what it expected."""
    with no_bugs() as found:
        yield found


@pytest.fixture(scope="session")
def sim_seconds(pytestconfig: pytest.Config) -> float:
    """How long the smoke simulation may take."""
    return float(pytestconfig.getoption("--sim-seconds"))


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[Callable[[Binaries | None], PostgresServer]]:
    """The servers of this worker, each started at first use and stopped at the end."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda source: stack.enter_context(open_server(source)))


@pytest.fixture(scope="session")
def postgres_server(
    request: pytest.FixtureRequest, postgres_servers: Callable[[Binaries | None], PostgresServer]
) -> PostgresServer:
    """One server, one major version after the other."""
    return postgres_servers(request.param)


@pytest.fixture
def postgres_mix(
    request: pytest.FixtureRequest, postgres_servers: Callable[[Binaries | None], PostgresServer]
) -> PostgresMix:
    """Every major version at once, for trees with several nodes on PostgreSQL: one run of the test meets all."""
    return PostgresMix([postgres_servers(each) for each in sources()], zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The DSN of a fresh, empty database that belongs to this test alone."""
    dsn = postgres_server.create_database()
    yield dsn
    postgres_server.drop_database(dsn)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget what a setup that failed had built; this test's own fixtures come after it."""
    trees.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """After every test that built a tree: each node's cells equal a recount, and its databases are closed.

    Inside the call, since the fixtures' databases are gone by the time other fixtures are torn down.
    """
    try:
        yield
    except BaseException:
        trees.close()
        raise
    trees.finish()
