"""The host's settings: one TOML file, every key with its unit in the name, every limit with its reason, checked at
start.

An unknown key is an error, not a shrug: `idle_timeout_ms` would otherwise silently leave `idle_timeout_s` at its
default.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from protocol.limits import FRAME_TIMEOUT_S, HANDSHAKE_TIMEOUT_S, IDLE_TIMEOUT_S, MAX_AMOUNT_FEN

Port = Annotated[int, Meta(ge=0, le=65535)]
Fen = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_FEN)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(ge=0.1, le=3600)]


EVERY_ADDRESS: Final = {"0.0.0.0", "::"}  # noqa: S104 - to recognise it, not to listen on it
HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?", re.ASCII
)


class ConfigError(Exception):
    """The configuration cannot be used. The message names file, key, what was expected and what was found."""


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where terminals connect."""

    host: Annotated[str, Meta(description="address terminals connect to; 0.0.0.0 for the whole LAN")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="TCP port; 0 lets the system choose")] = 4105


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where /metrics, /healthz and /readyz are served. Keep it off the canteen LAN."""

    host: Annotated[str, Meta(description="address of the metrics and health port")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="TCP port; 0 lets the system choose")] = 4106


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a terminal, or somebody pretending to be one, may cost."""

    connections: Annotated[
        Count, Meta(description="open connections; more are closed at once. Each needs a file and some 30 KiB")
    ] = 12_000
    pending_handshakes: Annotated[
        Count,
        Meta(
            description="connections not authenticated yet; accepting pauses while so many are under way, and who keeps"
            " silent then has to make room"
        ),
    ] = 256
    pending_handshakes_per_source: Annotated[
        Count,
        Meta(
            description="the same from one IP address, and a quarter of the places left at most; more are closed at"
            " once, so one device cannot use all up"
        ),
    ] = 64
    handshake_timeout_s: Annotated[Seconds, Meta(description="from connect to READY")] = HANDSHAKE_TIMEOUT_S
    frame_timeout_s: Annotated[Seconds, Meta(description="from the first byte of a frame to its last")] = (
        FRAME_TIMEOUT_S
    )
    idle_timeout_s: Annotated[Seconds, Meta(description="silence after which a terminal is taken for dead")] = (
        IDLE_TIMEOUT_S
    )
    requests_per_s: Annotated[
        Annotated[float, Meta(ge=1, le=100_000)],
        Meta(
            description="requests a second of one terminal; two seconds' worth may come at once, then it is slowed down"
        ),
    ] = 50.0
    drain_timeout_s: Annotated[
        Seconds, Meta(description="at shutdown, how long requests in hand may take before their connections are cut")
    ] = 5.0


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the ledger is, and how requests are gathered into commits."""

    postgres: Annotated[
        str,
        Meta(
            examples=["postgresql://fanka@db.example/fanka"],
            description="a PostgreSQL database for the ledger; empty = the file ledger.db in this folder."
            " Chosen at init: this line moves nothing",
        ),
    ] = ""
    batch_max: Annotated[
        Annotated[int, Meta(ge=1, le=4096)],
        Meta(description="requests per commit at most; bounds how long one commit takes"),
    ] = 256
    gather_s: Annotated[
        Annotated[float, Meta(ge=0, le=0.5)],
        Meta(description="shortest time between the beginnings of two commits, so that they are worth it; 0 = none"),
    ] = 0.01
    queue_max: Annotated[
        Count,
        Meta(
            description="requests waiting for a commit; past it a request is answered 09, before its terminal gives up"
        ),
    ] = 4096


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits in fen that hold for cards without their own."""

    sale_limit_fen: Annotated[Fen, Meta(description="largest single sale; 0 = no limit")] = 50_000
    day_limit_fen: Annotated[Fen, Meta(description="spending per account and business day; 0 = no limit")] = 200_000


class Day(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a new business day is opened. It never goes back, whatever the clock does."""

    starts_at: Annotated[
        str,
        Meta(
            pattern=r"^([01]\d|2[0-3]):[0-5]\d\Z",
            examples=["04:00"],
            description="local time HH:MM at which the next business day opens",
        ),
    ] = "04:00"
    utc_offset_minutes: Annotated[
        int, Meta(ge=-720, le=840, description="local time minus UTC in minutes; China is 480")
    ] = 480


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Every table and key may be left out."""

    listen: Listen = Listen()
    http: Http = Http()
    limits: Limits = Limits()
    ledger: LedgerSettings = LedgerSettings()
    rules: Rules = Rules()
    day: Day = Day()


def load_config(path: Path) -> Config:
    """Read and check the file; raises ConfigError."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: expected a configuration file, found none; `fanka init` writes one") from None
    except PermissionError:
        raise ConfigError(f"{path}: cannot be read: permission denied: look at its owner and permissions") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return parse_config(text, str(path))


def parse_config(text: str, name: str = "fanka.toml") -> Config:
    """Check the text of a configuration; raises ConfigError."""
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: expected TOML: {error}") from error
    try:
        config = msgspec.convert(written, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_explain(str(error), written)}") from error
    _check_places(config, name)
    return config


def _check_places(config: Config, name: str) -> None:
    """Addresses that can be none, and one port for two."""
    for table, place in (("listen", config.listen), ("http", config.http)):
        if not _may_be_host(place.host):
            raise ConfigError(
                f"{name}: {table}.host: expected an address like 127.0.0.1 or a host name, got {_show(place.host)}"
            )
    hosts = {config.listen.host, config.http.host}
    if config.listen.port == config.http.port != 0 and (len(hosts) == 1 or hosts & EVERY_ADDRESS):
        raise ConfigError(
            f"{name}: listen.port and http.port: expected two different ports, got {config.http.port} for both"
        )


def _may_be_host(text: str) -> bool:
    """An IP address, or what a name may look like; digits and dots alone are an address."""
    try:
        ip_address(text)
    except ValueError:
        return HOST_NAME.fullmatch(text) is not None and not re.fullmatch(r"[0-9.]+", text)
    return True


def _explain(message: str, written: dict[str, Any]) -> str:
    """What msgspec objects to, in the words of somebody who edits the file."""
    place = re.search(r" - at `\$\.(\w+)(?:\.(\w+))?", message)
    table, key = (place[1], place[2]) if place is not None else ("", None)
    unknown = re.match(r"Object contains unknown field `(.*?)`", message)
    if unknown is not None:
        return _unknown(table, unknown[1])
    found = [setting for setting in settings() if (setting.table, setting.key) == (table, key)]
    if not found:
        return f"{table}: expected a table, got {_show(written[table])}"
    return f"{table}.{key}: expected {found[0].expected}, got {_show(written[table][key])} ({found[0].description})"


def _unknown(table: str, key: str) -> str:
    """A key or table that does not exist, and the one its writer probably meant."""
    known = [setting.key for setting in settings() if setting.table == table] if table else list(_TABLES)
    what = f"{table}.{key}: expected a known key" if table else f"{key}: expected a known table"
    stem = re.sub(r"_(ms|s|sec|seconds|minutes|min|h|fen|yuan)$", "", key)
    close = [name for name in known if name.startswith(stem + "_")] or difflib.get_close_matches(key, known, n=1)
    if close:
        unit = " The unit is part of the name" if table else ""
        return f"{what}, got `{key}`; did you mean `{close[0]}`?{unit}"
    return f"{what}, got `{key}`; known here: {', '.join(known)}"


def _show(value: Any) -> str:
    """A value as its writer wrote it, short."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = _toml(value) if isinstance(value, str | bool) else str(value)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."


class Setting(msgspec.Struct, frozen=True):
    """One key, for the generated file and the documentation."""

    table: str
    key: str
    default: Any
    description: str
    expected: str
    """The values it may have, in words."""


def settings() -> list[Setting]:
    """Every setting with its default and description, in the order of the file."""
    found = []
    for table in msgspec.structs.fields(Config):
        for field in msgspec.structs.fields(table.type):
            metas = _metas(field.type)
            description = next(meta.description for meta in metas if meta.description)
            found.append(Setting(table.name, field.name, field.default, description, _expected(field.default, metas)))
    return found


def _expected(default: Any, metas: list[Meta]) -> str:
    """The values of a setting in words; every number has a lower and an upper limit."""
    if isinstance(default, str):
        examples = [str(example) for meta in metas for example in meta.examples or ()]
        return f"text like {_toml(examples[0])}" if examples else "text"
    [low] = [meta.ge for meta in metas if meta.ge is not None]
    [high] = [meta.le for meta in metas if meta.le is not None]
    return f"{'a whole number' if isinstance(default, int) else 'a number'} {low}..{high}"


def _metas(annotated: Any) -> list[Meta]:
    return [meta for meta in getattr(annotated, "__metadata__", ()) if isinstance(meta, Meta)]


_TABLES: Final = tuple(field.name for field in msgspec.structs.fields(Config))
SHOWN_MAX: Final = 60
"""How much of a wrong value a message repeats."""
HEADER: Final = "# Fanka host. Every key may be left out; these are the defaults. Units are part of the names.\n"


def default_text(changes: dict[tuple[str, str], Any] | None = None) -> str:
    """The configuration file `fanka init` writes: every key with its meaning; `changes` replace defaults."""
    changes = changes or {}
    lines = [HEADER]
    table = ""
    for setting in settings():
        if setting.table != table:
            table = setting.table
            lines.append(f"\n[{table}]\n")
        value = changes.get((setting.table, setting.key), setting.default)
        lines.append(f"# {setting.description}\n{setting.key} = {_toml(value)}\n")
    return "".join(lines)


def _toml(value: Any) -> str:
    """Our values are text and numbers, which TOML writes as JSON does."""
    return msgspec.json.encode(value).decode()
