"""Where to connect if nobody says so."""

import json
import os
from pathlib import Path

import pytest

from kvstore.client.configuration import config_path, configured, read_config_file
from kvstore.client.options import Acks, Consistency, Quorum
from kvstore.core.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No cluster runs, nothing is configured."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def configure(home: Path, text: str) -> dict[str, str]:
    file = home / "kvstore" / "config.toml"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text(text)
    return {"XDG_CONFIG_HOME": str(home)}


def start(home: Path, name: str) -> None:
    folder = home / "kvstore"
    folder.mkdir(mode=0o700, exist_ok=True)
    entry = {"name": name, "url": f"kv://{name}:1", "pid": os.getpid(), "dir": "d", "created": 1.0}
    (folder / f"{name}.json").write_text(json.dumps(entry))


PROFILES = """
profile = "work"
[profiles.work]
url = "kv://work?acks=all&timeout=9s"
keyspace = "carts"
timeout = 3
consistency = "leader"
[profiles.play]
url = "kv://play"
[shell]
vi = true
"""


def test_the_default_is_this_machine(home: Path) -> None:
    assert str(configured(environment={"XDG_CONFIG_HOME": str(home)})) == "kv://127.0.0.1:7401/"


def test_a_running_cluster_is_found(home: Path) -> None:
    start(home, "demo")
    nothing = {"XDG_CONFIG_HOME": str(home)}
    assert configured(environment=nothing).endpoints == ("demo:1",)
    assert configured("demo", environment=nothing).endpoints == ("demo:1",)
    assert configured(environment={**nothing, "KVSTORE_URL": "demo"}).endpoints == ("demo:1",)
    with pytest.raises(ConfigError, match="running: demo"):
        configured("dmeo", environment=nothing)


def test_a_profile_comes_before_a_running_cluster(home: Path) -> None:
    start(home, "demo")
    environment = configure(home, PROFILES)
    target = configured(environment=environment)
    assert (target.endpoints, target.keyspace) == (("work:7401",), "carts")
    assert target.options.consistency is Consistency.LEADER and target.options.acks is Acks.ALL
    assert target.options.timeout_s == 9, "the URL is more particular than the profile"
    assert configured(environment={**environment, "KVSTORE_PROFILE": "play"}).endpoints == ("play:7401",)
    assert configured(environment=environment, profile="play").endpoints == ("play:7401",)


def test_the_environment_comes_before_the_profile_and_what_is_named_before_both(home: Path) -> None:
    environment = {
        **configure(home, PROFILES),
        "KVSTORE_URL": "kv://env",
        "KVSTORE_KEYSPACE": "orders",
        "KVSTORE_CONSISTENCY": "follower",
        "KVSTORE_MAX_STALENESS": "5s",
        "KVSTORE_ACKS": "leader",
        "KVSTORE_TIMEOUT": "700ms",
    }
    target = configured(environment=environment)
    assert (target.endpoints, target.keyspace) == (("env:7401",), "orders")
    options = target.options
    assert (options.consistency, options.max_staleness_ms) == (Consistency.FOLLOWER, 5000)
    assert (options.acks, options.timeout_s) == (Acks.LEADER, 0.7)
    quorums = {**environment, "KVSTORE_READ": "one", "KVSTORE_WRITE": "2", "KVSTORE_SLOPPY": "yes"}
    options = configured(environment=quorums).options
    assert (options.read, options.write, options.sloppy) == (Quorum.ONE, 2, True)
    assert configured("kv://named", environment=environment).endpoints == ("named:7401",)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("profile = [", "TOML"),
        ("profile = 7", "profile"),
        ("[profiles.a]\nurl = 7", r"\$\.profiles\[\.\.\.\]\.url"),
        ("[profiles.a]\ncolour = 'red'", "colour"),
        ("profile = 'nope'\n[profiles.work]\nurl='kv://a'", r"no \[profiles.nope\]; known: work"),
        ("profile = 'a'\n[profiles.a]\nurl = 'http://a'", "scheme"),
        ("profile = 'a'\n[profiles.a]\nconsistency = 'quorum'", "linearizable"),
        ("profile = 'a'\n[profiles.a]\ntimeout = 'soon'", "duration"),
        ("profile = 'a'\n[profiles.a]\nread = 'most'", "one, quorum, all"),
    ],
)
def test_wrong_files_say_what_is_wrong(home: Path, text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        configured(environment=configure(home, text))


def test_a_wrong_environment_says_so(home: Path) -> None:
    for name, value in (
        ("KVSTORE_TIMEOUT", "soon"),
        ("KVSTORE_URL", "http://a"),
        ("KVSTORE_ACKS", "two"),
        ("KVSTORE_SLOPPY", "?"),
    ):
        with pytest.raises(ConfigError):
            configured(environment={"XDG_CONFIG_HOME": str(home), name: value})


def test_the_file_is_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_path({}) == Path("~/.config/kvstore/config.toml").expanduser()
    assert config_path({"XDG_CONFIG_HOME": "x"}) == Path("x/kvstore/config.toml")
    assert read_config_file(Path("no/such/file")).profiles == {}
