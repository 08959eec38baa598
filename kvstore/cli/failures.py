"""What is said when something went wrong: what happened, what to do, and for writes whether it may have happened."""

from collections.abc import Sequence

from kvstore.cli.context import Context, Refused
from kvstore.cli.registry import Command
from kvstore.cli.terminal import Terminal
from kvstore.cli.words import printable
from kvstore.core.errors import KvError

PROGRAM = "kvstore"

# What to do, by the error's name on the wire; a class without a line of its own has its parent's.
REMEDIES = {
    "NotFound": "",
    "ConflictError": "siblings KEY shows them, resolve KEY puts one value in their place",
    "PreconditionFailed": "read it again (get --meta shows the version) and decide anew",
    "SiblingsExceeded": "siblings KEY shows them, resolve KEY puts one value in their place",
    "Unavailable": "see what is wrong with: kvstore status",
    "QuorumUnreachable": "see what is down with: kvstore status; or ask for fewer with --read or --write",
    "QuorumNotMet": "see which replicas are down with: kvstore status",
    "NoLeader": "try again in a second; if it stays, see: kvstore status",
    "NotReady": "try again in a moment, or connect to another node",
    "NotConnected": "start a cluster with: kvstore local up; or say where one is with -c kv://HOST:PORT or KVSTORE_URL",
    "DeadlineExceeded": "try again, or allow more time with --timeout 10s",
    "OutcomeUnknown": "try again: with if-version or if-absent a second write cannot do harm",
    "Overloaded": "try again with fewer requests at a time",
    "InvalidRequest": "see: kvstore help {command}",
    "EmptyKey": "give the key at least one byte",
    "KeyTooLarge": "a key has at most 480 bytes",
    "ValueTooLarge": "kvstore keyspace describe shows the limit",
    "RequestTooLarge": "send fewer operations at once",
    "ConsistencyNotSupported": "kvstore keyspace describe shows the keyspace's mode",
    "UnknownKeyspace": "kvstore keyspace list shows which there are; kvstore keyspace create makes one",
    "KeyspaceExists": "take another name, or add --if-absent",
    "WrongMode": "kvstore keyspace describe shows the keyspace's mode",
    "NotYetAvailable": "leave it out; kvstore version says which version this is",
    "WrongCluster": "check the addresses given with -c or KVSTORE_URL",
    "WrongTimeline": "this is of an earlier cluster: connect again (in the shell with \\c) and read the key again",
    "OperationExpired": "read the key to see what is there",
    "MalformedFrame": "client and server may be of different versions: kvstore version --all",
    "CodecError": "read the key with another codec",
    "ConfigError": "kvstore local ls lists the clusters of this machine; help options says where else is looked",
    "StorageFull": "delete something (deletes still work), or raise storage.map_bytes_max and restart the node",
    "Corruption": "another replica may have it: try again; then check the node with: kvstore node verify DIR",
    "VersionSkew": "run the newer version of kvstore",
    "ForeignData": "check node.data and node.id in the node's configuration",
    "ClockTooFarAhead": "check the clocks of the nodes (timedatectl, chronyc tracking)",
    "NotLeader": "try again; if it stays, see: kvstore status",
    "WrongPartition": "try again",
    "ClientClosed": "connect again",
    "UnknownError": "the cluster may be newer than this command: kvstore version --all",
}


def remedy_for(error: KvError, command: Command | None = None) -> str:
    """What a person can do about it; the command that failed may know better than this table."""
    own = command.advice if command is not None else {}
    for kind in type(error).__mro__:
        for table in (own, REMEDIES):
            if kind.__name__ in table:
                return table[kind.__name__].format(command=command.name if command is not None else "").rstrip()
    return ""


def lines_for(error: KvError, command: Command | None = None, keyspace: str | None = None) -> list[str]:
    """What to print, the first line without its `error:`. `keyspace` is the one that was chosen, if any was."""
    message, wrote = what_happened(error), command is not None and command.writes
    fate = ""
    if wrote and error.maybe_applied:
        fate = " The write may have happened."
    elif wrote and not _says_it_was_not_done(message):
        fate = " Nothing was written."
    end = "" if message.endswith((".", "?", "!")) else "."
    first = f"{message}{end}{fate}" if fate else message
    question = _question_for(error, keyspace) if wrote and error.maybe_applied else ""
    return [first, *(f"  {line}" for line in (question, remedy_for(error, command)) if line)]


def what_happened(error: KvError) -> str:
    """The error's own sentence; for a condition that did not hold, or siblings, what is there."""
    current, record = error.facts.get("current"), error.facts.get("record")
    if error.code == "ConflictError" and record is not None and error.key is not None:
        return f"{printable(error.key)} has {len(record.siblings)} siblings"
    if error.code != "PreconditionFailed" or current is None or error.key is None:
        return str(error).strip() or type(error).__name__
    key = printable(error.key)
    if not current.exists:
        return f"the condition does not hold: there is no key {key}"
    return f"the condition does not hold: {key} exists, as version {current.version}"


def _says_it_was_not_done(message: str) -> bool:
    return "nothing was" in message.lower()


def _question_for(error: KvError, keyspace: str | None) -> str:
    """How to find out what became of a write."""
    operation = error.facts.get("operation")
    where = f" -k {keyspace}" if keyspace is not None else ""
    return f"ask with: {PROGRAM} outcome {operation}{where}" if operation else ""


def report(context: Context, error: KvError | Refused, command: Command | None = None) -> int:
    """Say it on standard error; returns the exit code."""
    in_shell, settings = context.shell is not None, context.settings
    if isinstance(error, Refused):
        lines = [str(error), *([f"  {error.do}"] if error.do else [])]
    else:
        lines = lines_for(error, command, None if in_shell else settings.keyspace)
        if settings.verbose:
            facts = " ".join(f"{name}={value!r}" for name, value in error.facts.items() if value is not None)
            lines.append(f"  {error.code} {facts}".rstrip())
    return tell(context.terminal, lines, error.exit_code, in_shell)


def tell(terminal: Terminal, lines: Sequence[str], exit_code: int, in_shell: bool = False) -> int:
    """An error's lines; in the shell commands are called without the program's name."""
    is_red = terminal.stderr_is_terminal and terminal.color
    terminal.tell(f"{terminal.paint('error:', 'bad') if is_red else 'error:'} {lines[0]}")
    for line in lines[1:]:
        terminal.tell(line.replace(f"{PROGRAM} ", "") if in_shell else line)
    return exit_code
