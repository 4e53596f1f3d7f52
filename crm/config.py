"""The settings: what each CRM_* variable may say, checked at start; an unsafe or unknown one refuses."""

import hashlib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PROJECT_ROOT = Path(__file__).resolve().parent.parent
# Where data goes when root starts us below a folder that PostgreSQL's own user could not enter.
SYSTEM_HOME = Path("/var/lib/customer-desk")

KNOWN = frozenset(
    [
        "CRM_HOME",
        "CRM_DATABASE_URL",
        "CRM_OWNER_DATABASE_URL",
        "CRM_REDIS_URL",
        "CRM_HOST",
        "CRM_PORT",
        "CRM_SECRET_KEY",
        "CRM_ADMIN_EMAIL",
        "CRM_ADMIN_PASSWORD",
        "CRM_REQUIRE_2FA",
        "CRM_WORKERS",
        "CRM_WEB_WORKERS",
        "CRM_KEEP_DAYS",
        "CRM_ENRICHMENT",
        "CRM_SMTP_URL",
        "CRM_OIDC_ISSUER",
        "CRM_OIDC_CLIENT_ID",
        "CRM_OIDC_CLIENT_SECRET",
        "CRM_OIDC_SCOPES",
        "CRM_OIDC_NAME",
    ]
)
OIDC_NEEDED = ("issuer", "client_id", "client_secret")
MIN_SECRET_KEY = 16
MIN_PASSWORD = 12  # as crm.commands.access wants it; this floor knows nobody above
MAX_PROCESSES = 64


class StartError(Exception):
    """Something that keeps us from starting; the message is the one line a person sees."""


class ConfigError(StartError):
    """A setting is wrong; the message names the variable and says what to do."""


@dataclass(frozen=True)
class Settings:
    home: Path
    database_url: str | None
    owner_database_url: str | None
    redis_url: str | None
    host: str
    port: int
    secret_key: str | None
    admin_email: str | None
    admin_password: str | None
    require_2fa: tuple[str, ...]
    workers: int
    web_workers: int
    keep_days: int
    enrichment: tuple[str, ...]
    smtp_url: str | None
    oidc: dict[str, str]
    home_notice: str | None = None

    @property
    def address(self) -> str:
        """The address a person opens, also when we listen on every interface."""
        return f"http://{_in_url(self.local_host)}:{self.port}"

    @property
    def local_host(self) -> str:
        """The host under which this machine reaches the web server."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - not bound

    def __repr__(self) -> str:
        """Without secrets: settings end up in logs and tracebacks."""
        return f"Settings(home={self.home}, address={self.address})"


def load(environ: Mapping[str, str], *, as_root: bool | None = None, root: Path = PROJECT_ROOT) -> Settings:
    """Read the settings from `environ`; raises ConfigError with one line naming the first wrong variable."""
    given = {name: value.strip() for name, value in environ.items() if name.startswith("CRM_") and value.strip()}
    for name in sorted(given.keys() - KNOWN):
        raise ConfigError(f"{name} is no setting of Customer Desk: unset it, or see the README for the right name")

    database_url = _database_url(given, "CRM_DATABASE_URL")
    owner_database_url = _database_url(given, "CRM_OWNER_DATABASE_URL")
    _check_logins(database_url, owner_database_url)
    redis_url = _redis_url(given.get("CRM_REDIS_URL"))
    host = _host(given.get("CRM_HOST", "127.0.0.1"))
    secret_key = given.get("CRM_SECRET_KEY")
    if secret_key is not None and len(secret_key) < MIN_SECRET_KEY:
        raise ConfigError(f"CRM_SECRET_KEY is too short: give at least {MIN_SECRET_KEY} random characters")
    if secret_key is None and (database_url or redis_url):
        variable = "CRM_DATABASE_URL" if database_url else "CRM_REDIS_URL"
        raise ConfigError(f"CRM_SECRET_KEY is missing: with {variable} set, give a random one and keep it")
    if secret_key is None and not is_loopback(host):
        raise ConfigError(f"CRM_SECRET_KEY is missing: CRM_HOST={host} opens to the network, give a random one first")

    as_root = os.geteuid() == 0 if as_root is None else as_root
    home, notice = _home(given.get("CRM_HOME"), root=root, postgres_as_other_user=as_root and database_url is None)
    cores = os.cpu_count() or 1
    return Settings(
        home=home,
        database_url=database_url,
        owner_database_url=owner_database_url,
        redis_url=redis_url,
        host=host,
        port=_number(given, "CRM_PORT", default=8000, highest=65535),
        secret_key=secret_key,
        admin_email=_email(given.get("CRM_ADMIN_EMAIL")),
        admin_password=_password(given.get("CRM_ADMIN_PASSWORD")),
        require_2fa=_roles(given.get("CRM_REQUIRE_2FA", "")),
        workers=_number(given, "CRM_WORKERS", default=min(4, max(2, cores)), highest=MAX_PROCESSES),
        web_workers=_number(given, "CRM_WEB_WORKERS", default=min(4, max(2, cores)), highest=MAX_PROCESSES),
        enrichment=tuple(name.strip() for name in (given.get("CRM_ENRICHMENT") or "").split(",") if name.strip()),
        keep_days=_number(given, "CRM_KEEP_DAYS", default=90, highest=36_500),
        smtp_url=_smtp_url(given.get("CRM_SMTP_URL")),
        oidc=_oidc(given),
        home_notice=notice,
    )


def closed_folder(path: Path) -> Path | None:
    """The first folder on the way to `path` (or itself) that users other than its owner can't enter."""
    for folder in (*reversed(path.parents), path):
        if folder.is_dir() and not folder.stat().st_mode & 0o001:
            return folder
    return None


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _home(given: str | None, *, root: Path, postgres_as_other_user: bool) -> tuple[Path, str | None]:
    if given is None:
        home = root / "var"
        closed = closed_folder(home) if postgres_as_other_user else None
        if closed is None:
            return home, None
        home = SYSTEM_HOME / hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
        return (
            home,
            f"{closed} is closed to PostgreSQL's own user, so the data lies in {home} (or set CRM_HOME)",
        )
    if given.startswith("~"):
        raise ConfigError(f"CRM_HOME={given} is no full path: write the home folder out")
    home = Path(os.path.normpath(Path(given).absolute()))
    closed = closed_folder(home) if postgres_as_other_user else None
    if closed is not None:
        raise ConfigError(
            f"CRM_HOME={home} can't be used by root: PostgreSQL runs as a user of its own, which can't "
            f"enter {closed}: choose a folder below {SYSTEM_HOME}, say, or chmod o+x {closed}"
        )
    return home, None


def _database_url(given: Mapping[str, str], name: str) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ConfigError(f"{name} must start with postgresql:// (PostgreSQL is the only database)")
    parts = _split(name, value)
    if not parts.path.strip("/"):
        raise ConfigError(f"{name} names no database: end it with /NAME")
    if not parts.hostname and "host" not in parse_qs(parts.query):
        raise ConfigError(f"{name} names no server: write postgresql://USER:PASSWORD@HOST/NAME")
    return f"postgresql+psycopg://{rest}"


def _check_logins(database_url: str | None, owner_database_url: str | None) -> None:
    if (database_url is None) != (owner_database_url is None):
        there, missing = "CRM_DATABASE_URL", "CRM_OWNER_DATABASE_URL"
        if database_url is None:
            there, missing = missing, there
        raise ConfigError(f"{missing} is missing: {there} is set, and both are needed (app's login, owner's login)")
    if database_url is None or owner_database_url is None:
        return
    app, owner = urlsplit(database_url), urlsplit(owner_database_url)
    if app.username == owner.username:
        raise ConfigError(
            "CRM_DATABASE_URL logs in as the owner: give the app a login of its own that owns nothing "
            "(CRM_OWNER_DATABASE_URL is the owner's)"
        )
    if app.path != owner.path:
        raise ConfigError("CRM_DATABASE_URL and CRM_OWNER_DATABASE_URL name different databases: name the same one")


def _redis_url(value: str | None) -> str | None:
    if value is None:
        return None
    scheme, separator, rest = value.partition("://")
    known = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
    if not separator or scheme not in known:
        raise ConfigError("CRM_REDIS_URL must start with redis://, rediss:// or unix://")
    parts = _split("CRM_REDIS_URL", value)
    if not (parts.path if scheme == "unix" else parts.hostname):
        raise ConfigError("CRM_REDIS_URL names no server: write redis://HOST:PORT/0")
    return f"{known[scheme]}://{rest}"


def _split(name: str, value: str) -> "_Parts":
    """Split a URL, or say which variable holds no URL; never repeats the value, it may hold a password."""
    try:
        parts = urlsplit(value)
        return _Parts(parts.hostname, parts.port, parts.path, parts.query)
    except ValueError:
        raise ConfigError(f"{name} is no valid URL (host and port are checked; escape special characters)") from None


@dataclass(frozen=True)
class _Parts:
    hostname: str | None
    port: int | None
    path: str
    query: str


def _host(value: str) -> str:
    value = value.strip("[]")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        label = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
        if re.fullmatch(rf"{label}(\.{label})*", value) and not re.fullmatch(r"[\d.]+", value):
            return value.lower()
    raise ConfigError(f"CRM_HOST={value} is no address: give an IP address or host name, for example 127.0.0.1")


def _number(given: Mapping[str, str], name: str, *, default: int, highest: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= highest):
        raise ConfigError(f"{name}={value} must be a whole number from 1 to {highest}")
    return int(value)


def _email(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise ConfigError(f"CRM_ADMIN_EMAIL={value} is no e-mail address")
    return value


def _password(value: str | None) -> str | None:
    if value is not None and len(value) < MIN_PASSWORD:
        raise ConfigError(f"CRM_ADMIN_PASSWORD is too short: give at least {MIN_PASSWORD} characters, or leave it out")
    return value


def _roles(value: str) -> tuple[str, ...]:
    roles = tuple(word.strip() for word in value.split(",") if word.strip())
    for role in roles:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", role):
            raise ConfigError(
                f"CRM_REQUIRE_2FA: {role!r} is no role; give names with commas, for example admin,manager"
            )
    return roles


def _smtp_url(value: str | None) -> str | None:
    if value is None:
        return None
    if not value.startswith(("smtp://", "smtps://")) or not _split("CRM_SMTP_URL", value).hostname:
        raise ConfigError("CRM_SMTP_URL must read smtp://USER:PASSWORD@HOST:PORT (or smtps://…)")
    return value


def _oidc(given: Mapping[str, str]) -> dict[str, str]:
    prefix = "CRM_OIDC_"
    found = {name.removeprefix(prefix).lower(): value for name, value in given.items() if name.startswith(prefix)}
    if not found:
        return {}
    for key in OIDC_NEEDED:
        if key not in found:
            raise ConfigError(f"{prefix}{key.upper()} is missing: {', '.join(OIDC_NEEDED)} belong together")
    issuer = urlsplit(found["issuer"])
    if issuer.scheme != "https" and not (issuer.scheme == "http" and is_loopback(issuer.hostname or "")):
        raise ConfigError("CRM_OIDC_ISSUER must start with https://")
    return found
