"""What is said when something went wrong: what happened, what to do, and for writes whether it may have happened."""

from kvstore.cli.context import Refused
from kvstore.cli.terminal import Terminal
from kvstore.cli.words import printable
from kvstore.core.errors import KvError

PROGRAM = "kvstore"

# What to do, by the error's name on the wire; a class without a line of its own has its parent's.
REMEDIES = {
    "NotFound": "",
    "ConflictError": "read the key with --siblings and write the value that should stay",
    "PreconditionFailed": "read it again (get --meta shows the version) and decide anew",
    "Unavailable": "see what is wrong with: kvstore status",
    "QuorumNotMet": "see which replicas are down with: kvstore status",
    "NoLeader": "try again in a second; if it stays, see: kvstore status",
    "NotReady": "try again in a moment, or connect to another node",
    "NotConnected": "start a cluster with: kvstore local up; or say where one is with -c kv://HOST:PORT or KVSTORE_URL",
    "DeadlineExceeded": "try again, or allow more time with --timeout 10s",
    "OutcomeUnknown": "try again: with if-version or if-absent a second write cannot do harm",
    "Overloaded": "try again with fewer requests at a time",
    "InvalidRequest": "see: kvstore help",
    "EmptyKey": "give the key at least one byte",
    "KeyTooLarge": "a key has at most 480 bytes",
    "ValueTooLarge": "kvstore keyspace describe shows the limit",
    "RequestTooLarge": "send fewer operations at once",
    "ConsistencyNotSupported": "kvstore keyspace describe shows the keyspace's mode",
    "UnknownKeyspace": "kvstore keyspace list shows which there are; kvstore keyspace create makes one",
    "KeyspaceExists": "take another name, or add --if-absent",
    "WrongMode": "kvstore keyspace describe shows the keyspace's mode",
    "NotYetAvailable": "use a keyspace with --mode leader",
    "WrongCluster": "check the addresses given with -c or KVSTORE_URL",
    "WrongTimeline": "read the key again and use the new version",
    "OperationExpired": "read the key to see what is there",
    "MalformedFrame": "client and server may be of different versions: kvstore version --all",
    "CodecError": "read the key with another codec",
    "ConfigError": "correct the file, then: kvstore node check-config FILE",
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


def remedy_for(error: KvError) -> str:
    """What a person can do about it."""
    for kind in type(error).__mro__:
        if kind.__name__ in REMEDIES:
            return REMEDIES[kind.__name__]
    return ""


def lines_for(error: KvError, wrote: bool, verbose: bool = False) -> list[str]:
    """What to print, the first line without its `error:`."""
    message = what_happened(error)
    fate = ""
    if wrote and error.maybe_applied:
        fate = " The write may have happened."
    elif wrote and not _says_it_was_not_done(message):
        fate = " Nothing was written."
    end = "" if message.endswith((".", "?", "!")) else "."
    lines = [f"{message}{end}{fate}" if fate else message]
    lines += [f"  {line}" for line in (_question_for(error, wrote), remedy_for(error)) if line]
    if verbose:
        facts = " ".join(f"{name}={value!r}" for name, value in error.facts.items() if value is not None)
        lines.append(f"  {error.code} {facts}".rstrip())
    return lines


def what_happened(error: KvError) -> str:
    """The error's own sentence; for a condition that did not hold, what is there instead."""
    current = error.facts.get("current")
    if error.code != "PreconditionFailed" or current is None or error.key is None:
        return str(error).strip() or type(error).__name__
    key = printable(error.key)
    if not current.exists:
        return f"the condition does not hold: there is no key {key}"
    return f"the condition does not hold: {key} exists, as version {current.version}"


def _says_it_was_not_done(message: str) -> bool:
    return "nothing was" in message.lower()


def _question_for(error: KvError, wrote: bool) -> str:
    """How to find out what became of a write."""
    operation = error.facts.get("operation") or error.facts.get("op_id")
    if not (wrote and error.maybe_applied and operation):
        return ""
    return f"ask with: kvstore outcome {operation}"


def report(
    terminal: Terminal, error: KvError | Refused, wrote: bool = False, verbose: bool = False, in_shell: bool = False
) -> int:
    """Say it on standard error; returns the exit code."""
    if isinstance(error, Refused):
        lines = [str(error), *([f"  {error.do}"] if error.do else [])]
    else:
        lines = lines_for(error, wrote, verbose)
    red = "\x1b[31;1m" if terminal.stderr_is_terminal and terminal.color else ""
    plain = "\x1b[0m" if red else ""
    terminal.tell(f"{red}error:{plain} {lines[0]}")
    for line in lines[1:]:
        terminal.tell(line.replace(f"{PROGRAM} ", "") if in_shell else line)
    return error.exit_code
