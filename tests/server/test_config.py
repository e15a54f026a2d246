"""Every setting, and every way to write one wrong: the message names file, key, what was expected and what came."""

import errno
import tomllib

import msgspec
import pytest
from msgspec import Meta

from server.config import Config, ConfigError, Setting, default_text, load_config, parse_config, settings

SETTINGS = settings()
UNITS = ("_s", "_fen", "_minutes")


def metas(setting: Setting) -> list[Meta]:
    table = getattr(Config(), setting.table)
    [field] = [field for field in msgspec.structs.fields(table) if field.name == setting.key]
    return [meta for meta in field.type.__metadata__ if isinstance(meta, Meta)]


def bounds(setting: Setting) -> tuple[float | None, float | None]:
    lows = [meta.ge for meta in metas(setting) if meta.ge is not None]
    highs = [meta.le for meta in metas(setting) if meta.le is not None]
    return (lows[0] if lows else None), (highs[0] if highs else None)


def text_of(setting: Setting, value: str) -> str:
    return f"[{setting.table}]\n{setting.key} = {value}\n"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "d/fanka.toml")
    message = str(caught.value)
    assert message.startswith("d/fanka.toml: ")
    assert "\n" not in message
    return message


each_setting = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: f"{setting.table}.{setting.key}")
each_number = pytest.mark.parametrize(
    "setting",
    [setting for setting in SETTINGS if isinstance(setting.default, int | float)],
    ids=lambda setting: f"{setting.table}.{setting.key}",
)


def test_an_empty_file_is_the_defaults():
    assert parse_config("") == Config()


def test_the_generated_file_is_the_defaults_and_says_what_each_key_means():
    text = default_text()
    assert parse_config(text) == Config()
    assert msgspec.to_builtins(Config()) == tomllib.loads(text)
    for setting in SETTINGS:
        assert f"# {setting.description}\n{setting.key} = " in text


def test_changes_replace_defaults_in_the_generated_file():
    config = parse_config(default_text({("listen", "port"): 0, ("listen", "host"): "::"}))
    assert (config.listen.port, config.listen.host) == (0, "::")
    assert config.http == Config().http


def test_a_generated_text_is_quoted_whatever_it_holds():
    """It is refused for what it says, not because the file has come apart."""
    written = default_text({("listen", "host"): 'a"\n[http]\nport = 1\\'})
    assert tomllib.loads(written)["listen"]["host"] == 'a"\n[http]\nport = 1\\'
    assert "listen.host: expected an address like 127.0.0.1 or a host name, got " in refusal(written)


ADDRESSES = ["127.0.0.1", "0.0.0.0", "::1", "localhost", "host-1.campus.example", "a_b"]  # noqa: S104


@pytest.mark.parametrize("host", ADDRESSES)
def test_an_address_or_a_name_may_be_listened_on(host):
    assert parse_config(f'[listen]\nhost = "{host}"\n').listen.host == host


@pytest.mark.parametrize(
    "host", ["", " ", "127.0.0", "1.2.3.4.5", "256.1.1.1", "a b", "-a", "http://x", "食堂", "x" * 254]
)
@pytest.mark.parametrize("table", ["listen", "http"])
def test_what_can_be_no_address_is_refused(table, host):
    message = refusal(f'[{table}]\nhost = "{host}"\n')
    assert f" {table}.host: expected an address like 127.0.0.1 or a host name, got " in message


@pytest.mark.parametrize(
    ("hosts", "together"),
    [
        (("127.0.0.1", "127.0.0.1"), False),
        (("0.0.0.0", "127.0.0.1"), False),  # noqa: S104
        (("127.0.0.1", "::"), False),
        (("127.0.0.1", "127.0.0.2"), True),
    ],
)
def test_one_port_for_two_is_refused(hosts, together):
    text = f'[listen]\nhost = "{hosts[0]}"\nport = 4105\n[http]\nhost = "{hosts[1]}"\nport = 4105\n'
    if together:
        assert parse_config(text).http.port == 4105
    else:
        assert "expected two different ports, got 4105 for both" in refusal(text)
    assert parse_config(text.replace("4105", "0")).listen.port == 0


@each_setting
def test_a_default_may_be_written_out(setting):
    assert parse_config(text_of(setting, msgspec.json.encode(setting.default).decode())) == Config()


@each_setting
def test_a_number_with_a_limit_has_its_unit_in_its_name(setting):
    if "timeout" in setting.key or "limit_" in setting.key or "offset" in setting.key:
        assert setting.key.endswith(UNITS)


@each_number
def test_a_number_is_accepted_up_to_its_bounds_and_no_further(setting):
    low, high = bounds(setting)
    assert low is not None
    assert high is not None
    assert low <= setting.default <= high
    for value in (low, high):
        assert getattr(getattr(parse_config(text_of(setting, str(value))), setting.table), setting.key) == value
    for value in (low - 1, high + 1):
        message = refusal(text_of(setting, str(value)))
        assert f" {setting.table}.{setting.key}: expected " in message
        assert f" {low}..{high}, got {value} (" in message
        assert setting.description in message


@each_number
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('"90s"', '"90s"'),
        ("true", "true"),
        ("[1]", "a list"),
        ("{ s = 1 }", "a table"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_anything_but_a_number_is_refused_where_one_belongs(setting, value, shown):
    message = refusal(text_of(setting, value))
    assert f" {setting.table}.{setting.key}: expected " in message
    assert f", got {shown} (" in message


@pytest.mark.parametrize(("key", "expected"), [("listen.host", "text"), ("day.starts_at", 'text like "04:00"')])
def test_a_number_is_refused_where_a_text_belongs(key, expected):
    table, name = key.split(".")
    assert f" {key}: expected {expected}, got 7 (" in refusal(f"[{table}]\n{name} = 7\n")


@pytest.mark.parametrize("value", ["24:00", "4:00", "04:60", "04:00:00", "noon", "", "04:00\\n"])
def test_a_time_of_day_has_one_form(value):
    message = refusal(f'[day]\nstarts_at = "{value}"\n')
    assert "day.starts_at: expected " in message
    assert "HH:MM" in message


@pytest.mark.parametrize(
    ("table", "key", "meant"),
    [
        ("limits", "idle_timeout_ms", "idle_timeout_s"),
        ("limits", "idle_timeout", "idle_timeout_s"),
        ("limits", "handshake_timeout_minutes", "handshake_timeout_s"),
        ("limits", "conections", "connections"),
        ("rules", "sale_limit_yuan", "sale_limit_fen"),
        ("day", "utc_offset_h", "utc_offset_minutes"),
        ("listen", "prot", "port"),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant(table, key, meant):
    message = refusal(f"[{table}]\n{key} = 90000\n")
    assert f"{table}.{key}: expected a known key" in message
    assert f"did you mean `{meant}`? The unit is part of the name" in message


def test_an_unknown_key_like_no_other_gets_the_list():
    message = refusal("[limits]\nflavour = 1\n")
    assert "limits.flavour: expected a known key" in message
    for setting in SETTINGS:
        assert (setting.key in message) == (setting.table == "limits")


def test_an_unknown_table_is_refused():
    assert "limit: expected a known table, got `limit`; did you mean `limits`?" in refusal(
        "[limit]\nidle_timeout_s = 1"
    )
    assert "known here: listen, http, limits, ledger, rules, day" in refusal("colour = 1")


def test_a_value_where_a_table_belongs_is_refused():
    assert "limits: expected a table, got 3" in refusal("limits = 3")


@pytest.mark.parametrize("text", ["[limits", "idle_timeout_s 90", "[a]\n[a]\n", "x = 1\nx = 2\n", "\0"])
def test_what_is_no_toml_is_refused_with_the_place(text):
    assert "expected TOML: " in refusal(text)


def test_a_long_value_is_cut_in_the_message():
    assert len(refusal('[limits]\nconnections = "' + "9" * 5000 + '"\n')) < 400


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match=r"fanka\.toml: expected a configuration file, found none; `fanka init`"):
        load_config(tmp_path / "fanka.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "fanka.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"fanka\.toml: cannot be read as UTF-8"):
        load_config(tmp_path / "fanka.toml")


def test_a_file_of_somebody_else_is_not_called_malformed(tmp_path, monkeypatch):
    def denied(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_text", denied)
    with pytest.raises(ConfigError, match=r"fanka\.toml: cannot be read: permission denied: look at its owner"):
        load_config(tmp_path / "fanka.toml")


def test_a_file_is_read(tmp_path):
    (tmp_path / "fanka.toml").write_text("[limits]\nconnections = 7\n", "utf-8")
    assert load_config(tmp_path / "fanka.toml").limits.connections == 7
