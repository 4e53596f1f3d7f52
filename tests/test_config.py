"""The settings: what is accepted, and which variable a refusal names."""

import os
from pathlib import Path

import pytest

from crm.config import ConfigError, Settings, closed_folder, load

KEY = "0123456789abcdef0123456789abcdef"
APP = "postgresql://crm_app:pw@db.example/crm"
OWNER = "postgresql://crm_owner:pw@db.example/crm"
EXTERNAL = {"CRM_DATABASE_URL": APP, "CRM_OWNER_DATABASE_URL": OWNER, "CRM_SECRET_KEY": KEY}


def read(environ: dict[str, str], root: Path = Path("/project")) -> Settings:
    return load(environ, as_root=False, root=root)


def test_nothing_set_gives_an_embedded_instance_on_loopback() -> None:
    settings = read({"PATH": "/bin", "HOME": "/home/someone"})
    assert settings.home == Path("/project/var")
    assert (settings.database_url, settings.redis_url, settings.secret_key) == (None, None, None)
    assert settings.address == "http://127.0.0.1:8000"
    assert settings.workers >= 1
    assert settings.web_workers >= 1
    assert settings.require_2fa == ()
    assert settings.home_notice is None


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read({"CRM_PORT": "", "CRM_REDIS_URL": " ", "CRM_NO_SUCH": ""}).port == 8000


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_becomes_one(scheme: str) -> None:
    urls = {name: url.replace("postgresql", scheme, 1) for name, url in EXTERNAL.items() if "URL" in name}
    settings = read({**EXTERNAL, **urls})
    assert settings.database_url == "postgresql+psycopg://crm_app:pw@db.example/crm"
    assert settings.owner_database_url == "postgresql+psycopg://crm_owner:pw@db.example/crm"


def test_a_database_on_a_unix_socket_is_accepted() -> None:
    urls = {
        "CRM_DATABASE_URL": "postgresql://crm_app@/crm?host=/run/postgresql",
        "CRM_OWNER_DATABASE_URL": "postgresql://crm_owner@/crm?host=/run/postgresql",
    }
    assert read({**EXTERNAL, **urls}).database_url == ("postgresql+psycopg://crm_app@/crm?host=/run/postgresql")


def test_everything_set() -> None:
    settings = read(
        {
            **EXTERNAL,
            "CRM_HOME": "/srv/crm/../desk",
            "CRM_REDIS_URL": "valkey://:pw@bell:6379/0",
            "CRM_HOST": "0.0.0.0",  # noqa: S104 - nothing is bound
            "CRM_PORT": "8080",
            "CRM_ADMIN_EMAIL": "anna@example.com",
            "CRM_ADMIN_PASSWORD": "correct horse",
            "CRM_REQUIRE_2FA": "admin, credit_approver",
            "CRM_WORKERS": "3",
            "CRM_WEB_WORKERS": "5",
            "CRM_SMTP_URL": "smtp://u:p@mail.example:587",
            "CRM_OIDC_ISSUER": "https://login.example",
            "CRM_OIDC_CLIENT_ID": "desk",
            "CRM_OIDC_CLIENT_SECRET": "s",
        }
    )
    assert settings.home == Path("/srv/desk")
    assert settings.redis_url == "redis://:pw@bell:6379/0"
    assert settings.address == "http://127.0.0.1:8080"
    assert settings.require_2fa == ("admin", "credit_approver")
    assert (settings.workers, settings.web_workers) == (3, 5)
    assert settings.oidc == {"issuer": "https://login.example", "client_id": "desk", "client_secret": "s"}


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"CRM_PROT": "8000"}, "CRM_PROT"),
        ({"CRM_PORT": "0"}, "CRM_PORT"),
        ({"CRM_PORT": "65536"}, "CRM_PORT"),
        ({"CRM_PORT": "80 80"}, "CRM_PORT"),
        ({"CRM_PORT": "-1"}, "CRM_PORT"),
        ({"CRM_PORT": "٣"}, "CRM_PORT"),
        ({"CRM_PORT": "9" * 5000}, "CRM_PORT"),
        ({"CRM_WORKERS": "0"}, "CRM_WORKERS"),
        ({"CRM_WEB_WORKERS": "many"}, "CRM_WEB_WORKERS"),
        ({"CRM_HOST": "not a host"}, "CRM_HOST"),
        ({"CRM_HOST": "1.2.3"}, "CRM_HOST"),
        ({"CRM_HOST": "10.0.0.5"}, "CRM_SECRET_KEY"),
        ({"CRM_HOST": "::", "CRM_SECRET_KEY": "short"}, "CRM_SECRET_KEY"),
        ({"CRM_HOME": "~/desk"}, "CRM_HOME"),
        ({"CRM_REDIS_URL": "redis://bell"}, "CRM_SECRET_KEY"),
        ({"CRM_REDIS_URL": "http://bell", "CRM_SECRET_KEY": KEY}, "CRM_REDIS_URL"),
        ({"CRM_REDIS_URL": "redis://", "CRM_SECRET_KEY": KEY}, "CRM_REDIS_URL"),
        ({"CRM_REDIS_URL": "redis://bell:x", "CRM_SECRET_KEY": KEY}, "CRM_REDIS_URL"),
        ({**EXTERNAL, "CRM_DATABASE_URL": ""}, "CRM_DATABASE_URL"),
        ({**EXTERNAL, "CRM_OWNER_DATABASE_URL": ""}, "CRM_OWNER_DATABASE_URL"),
        ({**EXTERNAL, "CRM_SECRET_KEY": ""}, "CRM_SECRET_KEY"),
        ({**EXTERNAL, "CRM_DATABASE_URL": "mysql://u@h/d"}, "CRM_DATABASE_URL"),
        ({**EXTERNAL, "CRM_DATABASE_URL": "sqlite:///x.db"}, "CRM_DATABASE_URL"),
        ({**EXTERNAL, "CRM_DATABASE_URL": "postgresql://u@h"}, "CRM_DATABASE_URL"),
        ({**EXTERNAL, "CRM_DATABASE_URL": "postgresql:///crm"}, "CRM_DATABASE_URL"),
        ({**EXTERNAL, "CRM_DATABASE_URL": "postgresql://u@h:port/crm"}, "CRM_DATABASE_URL"),
        ({**EXTERNAL, "CRM_DATABASE_URL": "postgresql://[h/crm"}, "CRM_DATABASE_URL"),
        ({**EXTERNAL, "CRM_DATABASE_URL": OWNER}, "CRM_DATABASE_URL"),
        ({**EXTERNAL, "CRM_DATABASE_URL": APP + "2"}, "CRM_DATABASE_URL"),
        ({"CRM_ADMIN_EMAIL": "anna"}, "CRM_ADMIN_EMAIL"),
        ({"CRM_ADMIN_PASSWORD": "short"}, "CRM_ADMIN_PASSWORD"),
        ({"CRM_REQUIRE_2FA": "Admin!"}, "CRM_REQUIRE_2FA"),
        ({"CRM_SMTP_URL": "mail.example"}, "CRM_SMTP_URL"),
        ({"CRM_SMTP_URL": "smtp://h:x"}, "CRM_SMTP_URL"),
        ({"CRM_OIDC_ISSUER": "https://login.example"}, "CRM_OIDC_CLIENT_ID"),
        (
            {"CRM_OIDC_ISSUER": "http://far", "CRM_OIDC_CLIENT_ID": "d", "CRM_OIDC_CLIENT_SECRET": "s"},
            "CRM_OIDC_ISSUER",
        ),
    ],
)
def test_a_wrong_or_unsafe_setting_is_refused_in_one_line_that_names_it(environ: dict[str, str], variable: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(environ)
    message = str(refused.value)
    assert variable in message
    assert "\n" not in message
    assert ":pw@" not in message  # a URL's password is told to nobody


def test_settings_tell_no_secret_when_printed() -> None:
    printed = repr(read({**EXTERNAL, "CRM_ADMIN_PASSWORD": "correct horse"}))
    assert KEY not in printed
    assert "pw" not in printed
    assert "horse" not in printed


def test_root_below_a_closed_folder_gets_another_home_and_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    project = closed / "project"
    project.mkdir(parents=True)
    closed.chmod(0o700)
    settings = load({}, as_root=True, root=project)
    assert settings.home.parent == Path("/var/lib/customer-desk")
    assert str(settings.home) in (settings.home_notice or "")
    assert load({}, as_root=True, root=project).home == settings.home
    assert load({}, as_root=True, root=closed / "other").home != settings.home
    assert load({}, as_root=False, root=project).home == project / "var"
    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_home_that_root_chose_below_a_closed_folder_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    environ = {"CRM_HOME": str(closed / "home")}
    # The folders above are closed too, where pytest makes its own: the first of them is named.
    with pytest.raises(ConfigError, match=f"CRM_HOME.*{closed_folder(closed)}"):
        load(environ, as_root=True)
    assert load(environ, as_root=False).home == closed / "home"
    assert load({**EXTERNAL, **environ}, as_root=True).home == closed / "home"


def test_a_relative_home_is_taken_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read({"CRM_HOME": "data"}).home == Path(os.path.realpath(tmp_path)) / "data"
