"""What `flask doctor` looks at: each check tells in a line whether this instance can work, and why not."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import redis

from crm.config import Settings, StartError
from crm.home import Home, prepare
from crm.logins import dsn, login_faults, server_fault
from crm.servers import Servers, attach
from crm.supervisor import PortTaken, check_port, healthy

_OLDEST_PYTHON = (3, 11)
_LITTLE_DISK = 1024**3
_OLDEST_VALKEY = 6


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `detail` says what was found, or what to do."""

    name: str
    ok: bool
    detail: str


def examine(settings: Settings, migrations: Callable[[Servers], tuple[bool, str]] | None = None) -> Iterator[Check]:
    """Look at everything in turn; `migrations` tells whether the database is at the newest revision."""
    yield _python()
    yield Check("settings", True, f"read from the environment; instance in {settings.home}, {settings.address}")
    yield from _home(settings)
    yield _port(settings)
    try:
        servers = attach(settings)
    except StartError as error:
        yield Check("servers", False, str(error))
        return
    yield Check("servers", True, "PostgreSQL and Valkey answer")
    yield from _database(servers)
    yield from _valkey(settings, servers)
    if migrations is not None:
        ok, detail = migrations(servers)
        yield Check("migrations", ok, detail)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, _OLDEST_PYTHON))
    enough = sys.version_info >= _OLDEST_PYTHON
    return Check("python", enough, version if enough else f"{version} is too old: {wanted} or newer is needed")


def _home(settings: Settings) -> Iterator[Check]:
    try:
        home = prepare(settings)
    except StartError as error:
        yield Check("CRM_HOME", False, str(error))
        return
    yield Check("CRM_HOME", True, f"{home.path} can be written to")
    free = shutil.disk_usage(home.path).free
    told = f"{free / 1024**3:.1f} GiB free"
    yield Check("disk", free >= _LITTLE_DISK, told if free >= _LITTLE_DISK else f"only {told}: make room")
    yield from _secrets(home)


def _secrets(home: Home) -> Iterator[Check]:
    if home.secrets.exists():
        mode = home.secrets.stat().st_mode & 0o777
        detail = "readable by its owner only" if mode == 0o600 else f"mode is {mode:o}: chmod 600 {home.secrets}"
        yield Check("secrets", mode == 0o600, detail)


def _port(settings: Settings) -> Check:
    if healthy(settings):
        return Check("port", True, f"Customer Desk answers on {settings.address}")
    try:
        check_port(settings)
    except PortTaken as error:
        return Check("port", False, str(error))
    return Check("port", True, f"{settings.port} is free")


def _database(servers: Servers) -> Iterator[Check]:
    with psycopg.connect(dsn(servers.database_url), connect_timeout=5) as connection:
        version = connection.info.parameter_status("server_version") or "unknown"
        row = connection.execute(
            """
            SELECT (SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database),
                   ARRAY(SELECT want FROM unnest(ARRAY['pg_trgm', 'unaccent']) AS want
                          WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = want)),
                   current_setting('fsync'),
                   (SELECT datctype NOT IN ('C', 'POSIX') FROM pg_database WHERE datname = current_database())
            """
        ).fetchone()
    fault = server_fault(servers.database_url)
    yield Check("PostgreSQL", fault is None, fault or version)
    faults = login_faults(servers.database_url)
    fit = "no superuser, owns nothing, belongs to no other role"
    yield Check("app's login", not faults, "; ".join(faults) or fit)
    if row is None:
        return
    broken, missing, fsync, all_scripts = row
    yield Check("extensions", not missing, f"missing: {', '.join(missing)}" if missing else "pg_trgm, unaccent")
    letters = "of all scripts" if all_scripts else ("only a–z, so that names in other scripts are searched slowly: make the "
                                                    "database anew with LC_CTYPE 'C.UTF-8'")  # fmt: skip
    yield Check("letters", all_scripts, letters)
    damaged = f"{broken} damaged pages were read: check the disk, restore a backup"
    yield Check("data pages", not broken, damaged if broken else "no damaged page was read")
    yield Check("fsync", fsync == "on", "on" if fsync == "on" else "off: a power cut loses data, turn it on")


def _valkey(settings: Settings, servers: Servers) -> Iterator[Check]:
    client = redis.Redis.from_url(servers.redis_url, socket_timeout=5)
    try:
        info = client.info()
    except redis.RedisError as error:
        yield Check("Valkey", False, f"does not tell about itself: {error}")
        return
    finally:
        client.close()
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    fit = int(version.split(".")[0]) >= _OLDEST_VALKEY
    yield Check("Valkey", fit, version if fit else f"{version} is too old: {_OLDEST_VALKEY} or newer is needed")
    kept = bool(info.get("aof_enabled")) or (settings.redis_url is not None and bool(info.get("rdb_last_save_time")))
    yield Check("Valkey keeps its data", kept, "on disk" if kept else "no: set appendonly yes")
    policy = str(info.get("maxmemory_policy", "unknown"))
    told = policy if policy == "noeviction" else f"{policy}: set maxmemory-policy noeviction, or jobs are thrown away"
    yield Check("Valkey evicts nothing", policy == "noeviction", told)
