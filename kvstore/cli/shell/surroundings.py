"""What the shell knows of the cluster around it: names to complete, what stands in the prompt, how healthy it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kvstore.cli.completing import Names, command_names
from kvstore.cli.connection import Health
from kvstore.cli.registry import Where
from kvstore.cli.shell.interpreter import Shell
from kvstore.core.errors import KvError

NOT_CONNECTED = "(not connected)"
COMPLETION_TIMEOUT_S = 0.5


def names_of(shell: Shell) -> Names:
    """For the Tab key. Nothing here may raise, take long, or connect."""
    context = shell.context

    def keyspaces() -> Iterable[str]:
        if not context.is_connected:
            return ()
        return [info.name for info in context.client.list_keyspaces(timeout=COMPLETION_TIMEOUT_S)]

    def nodes() -> Iterable[str]:
        name = context.local_name()
        if name is None:
            return ()
        from kvstore.local.clusters import attach

        return attach(name).nodes

    def commands() -> Iterable[str]:
        return command_names(context.registry, Where.SHELL)

    return Names(
        keyspaces=_quietly(keyspaces),
        nodes=_quietly(nodes),
        clusters=_quietly(local_clusters),
        keys=lambda: reversed(shell.recent_keys),
        commands=commands,
    )


def local_clusters() -> Iterable[str]:
    from kvstore.client.discovery import discover

    return [cluster.name for cluster in discover()]


def _quietly(names: Callable[[], Iterable[str]]) -> Callable[[], Iterable[str]]:
    def found() -> Iterable[str]:
        try:
            return names()
        except (KvError, OSError):
            return ()

    return found


@dataclass(frozen=True, slots=True)
class PromptNames:
    """`demo[leader]> `, or `demo/carts[leader]> `."""

    place: str
    mode: str = ""


def prompt_names(shell: Shell) -> PromptNames:
    """Where we are; asks the cluster only right after connecting or `use`."""
    context = shell.context
    if not context.is_connected:
        return PromptNames(NOT_CONNECTED)
    connection = context.connection
    try:
        cluster, keyspace = connection.cluster_name(), connection.keyspace_name(context.settings)
        mode = connection.mode_of(keyspace)
    except KvError:
        return PromptNames(",".join(connection.endpoints) or NOT_CONNECTED)
    return PromptNames(cluster if keyspace == "default" else f"{cluster}/{keyspace}", mode)


def greeting(shell: Shell) -> list[tuple[str, str]]:
    """The first lines, each with a style. Connects; says why if it cannot."""
    from kvstore.cli.failures import PROGRAM, lines_for

    try:
        connection = shell.context.connection
        connection.cluster_name()
    except KvError as error:
        shell.context.close()
        first, *more = lines_for(error)
        advice = [(line.replace(f"{PROGRAM} ", ""), "") for line in more]
        return [(f"not connected: {first}", "bad"), *advice, ("", "")]
    health = connection.health()
    said = f"connected to kv://{','.join(connection.endpoints)}"
    return [
        (said, ""),
        (health.text, health.style),
        ("\\? lists the commands, \\h put explains one", "faint"),
        ("", ""),
    ]


def health_of(shell: Shell) -> Health:
    """For the line at the bottom. Never raises, never connects."""
    if not shell.context.is_connected:
        return Health("not connected", "bad")
    return shell.context.connection.health()
