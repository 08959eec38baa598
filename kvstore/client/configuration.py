"""Where to connect if nobody says so: KVSTORE_* variables, a profile, a cluster running here, or the default port.

    KVSTORE_URL            kv://… or the name of a cluster running on this machine
    KVSTORE_PROFILE        a profile of the configuration file, else its `profile`
    KVSTORE_KEYSPACE, KVSTORE_TIMEOUT; leader mode: KVSTORE_CONSISTENCY, KVSTORE_ACKS, KVSTORE_MAX_STALENESS;
    leaderless: KVSTORE_READ, KVSTORE_WRITE, KVSTORE_SLOPPY

The file is $XDG_CONFIG_HOME/kvstore/config.toml, or ~/.config/kvstore/config.toml:

    profile = "work"

    [profiles.work]
    url = "kv://10.0.0.1,10.0.0.2"
    keyspace = "carts"
    timeout = "2s"
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from kvstore.client.discovery import discover
from kvstore.client.options import Options, flag_of
from kvstore.client.url import URL_DEFAULT, Target, parse_url
from kvstore.core.errors import ConfigError, InvalidRequest


class Profile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One table `[profiles.NAME]`."""

    url: str = ""
    keyspace: str = ""
    consistency: str | None = None
    acks: str | None = None
    timeout: float | str | None = None
    max_staleness: float | str | None = None
    read: int | str | None = None
    write: int | str | None = None
    sloppy: bool | None = None

    def changing(self, options: Options) -> Options:
        """The options, changed by what is said here. Raises InvalidRequest."""
        return options.changed(
            consistency=self.consistency,
            acks=self.acks,
            timeout=self.timeout,
            max_staleness=self.max_staleness,
            read=self.read,
            write=self.write,
            sloppy=self.sloppy,
        )


class ConfigFile(msgspec.Struct, frozen=True):
    """What this reads of the file; other tables belong to others."""

    profile: str = ""
    profiles: dict[str, Profile] = msgspec.field(default_factory=dict)


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    folder = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "kvstore" / "config.toml"


def read_config_file(path: Path) -> ConfigFile:
    """The file, or an empty one if there is none. Raises ConfigError naming file, key and expected form."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), ConfigFile)
    except FileNotFoundError:
        return ConfigFile()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not readable as TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def configured(
    name: str | None = None, environment: Mapping[str, str] = os.environ, profile: str | None = None
) -> Target:
    """Whom to connect to: `name` (a URL, or the name of a cluster running here) if given, else as found.

    Raises ConfigError if a profile or a running cluster is named that does not exist, or a setting makes no sense.
    """
    wanted = profile or environment.get("KVSTORE_PROFILE", "")
    chosen = _profile(wanted, config_path(environment))
    url = _resolved(name or environment.get("KVSTORE_URL") or chosen.url)
    try:
        target = parse_url(url, chosen.changing(Options()))
        options = _from_environment(environment).changing(target.options)
    except InvalidRequest as error:
        raise ConfigError(f"where to connect: {error}") from error
    keyspace = environment.get("KVSTORE_KEYSPACE") or chosen.keyspace or target.keyspace
    return replace(target, keyspace=keyspace, options=options)


def _profile(wanted: str, path: Path) -> Profile:
    file = read_config_file(path)
    name = wanted or file.profile
    if not name:
        return Profile()
    if name not in file.profiles:
        known = ", ".join(sorted(file.profiles)) or "none"
        raise ConfigError(f"{path}: there is no [profiles.{name}]; known: {known}")
    return file.profiles[name]


def _from_environment(environment: Mapping[str, str]) -> Profile:
    return Profile(
        consistency=environment.get("KVSTORE_CONSISTENCY") or None,
        acks=environment.get("KVSTORE_ACKS") or None,
        timeout=environment.get("KVSTORE_TIMEOUT") or None,
        max_staleness=environment.get("KVSTORE_MAX_STALENESS") or None,
        read=environment.get("KVSTORE_READ") or None,
        write=environment.get("KVSTORE_WRITE") or None,
        sloppy=flag_of(sloppy, "KVSTORE_SLOPPY") if (sloppy := environment.get("KVSTORE_SLOPPY")) else None,
    )


def _resolved(name: str) -> str:
    """The URL of what was named; of the newest cluster running here if nothing was."""
    if "://" in name or ":" in name:
        return name
    running = discover()
    if not name:
        return running[0].url if running else URL_DEFAULT
    for cluster in running:
        if cluster.name == name:
            return cluster.url
    known = ", ".join(cluster.name for cluster in running) or "none"
    raise ConfigError(
        f"no cluster called {name!r} runs on this machine (running: {known}); to give an address, write kv://HOST:PORT"
    )
