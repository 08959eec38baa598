"""The registry of this program: every verb and every backslash command, gathered."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kvstore.cli.completing import Names, command_names
from kvstore.cli.registry import Registry, Where
from kvstore.cli.settings import GLOBAL_OPTIONS, Settings
from kvstore.cli.shell import backslash
from kvstore.cli.verbs import (
    about,
    bigkeys,
    data,
    explain,
    keyspaces,
    local,
    looking,
    nodes,
    siblings,
    tending,
    top,
    transfer,
)
from kvstore.core.errors import KvError

TAB_TIMEOUT_S = 0.5
COMMANDS = (
    *data.COMMANDS,
    *siblings.COMMANDS,
    *transfer.COMMANDS,
    *looking.COMMANDS,
    *top.COMMANDS,
    *bigkeys.COMMANDS,
    *explain.COMMANDS,
    *tending.COMMANDS,
    *keyspaces.COMMANDS,
    *nodes.COMMANDS,
    *local.COMMANDS,
    *backslash.COMMANDS,
    *about.COMMANDS,
)


def make_registry() -> Registry:
    """All commands, in the order in which help shows them."""
    return Registry(COMMANDS, GLOBAL_OPTIONS, names_for_tab)


def names_for_tab(given: Mapping[str, Any]) -> Names:
    """Names for the Tab key of bash, zsh and fish, from the options given so far. Nothing here may take long."""
    return Names(
        keyspaces=lambda: _quick_keyspaces(given),
        nodes=lambda: _nodes(given),
        clusters=_clusters,
        commands=lambda: command_names(make_registry(), Where.CLI),
    )


def _quick_keyspaces(given: Mapping[str, Any]) -> Iterable[str]:
    from kvstore.cli.connection import connect

    try:
        settings = replace(Settings.from_environment().with_given(given), timeout=TAB_TIMEOUT_S)
        connection = connect(settings)
    except (KvError, ValueError):
        return ()
    try:
        return [info.name for info in connection.client.list_keyspaces(timeout=TAB_TIMEOUT_S)]
    except KvError:
        return ()
    finally:
        connection.close()


def _nodes(given: Mapping[str, Any]) -> Iterable[str]:
    from kvstore.local.clusters import attach

    try:
        return attach(given.get("cluster")).nodes
    except (KvError, OSError):
        return ()


def _clusters() -> Iterable[str]:
    from kvstore.local.clusters import list_clusters

    return [cluster.name for cluster in list_clusters()]
