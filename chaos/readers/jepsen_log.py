"""Jepsen's log of one register, as in porcupine's etcd histories, under the rules of their source.

One event a line, in order of real time: ``INFO  jepsen.util - <process> <:invoke|:ok|:fail|:info> <:read|:write|:cas>
<value>``, separated by tabs or spaces. The register starts absent (nil).

- A failed read timed out: it saw nothing.
- A failed compare-and-set with its pair of values ran and found another value than expected: that is an observation.
  One that says anything else (`:timed-out`) may have happened.
- A failed write may have happened: the client of these recordings did not tell.
- After `:info`, and without a completion, an operation may have happened.
"""

import re
from collections.abc import Hashable

from chaos.history import Outcome
from chaos.readers.edn import EdnError, hashable, parse
from chaos.readers.reading import MalformedHistory, Pairing, Reading

_LOG_LINE = re.compile(r"(?:^|\s)(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b|^\s*at\s|Exception|Error")
_EVENT = re.compile(r"\bjepsen\.util\s+-\s+(-?\d+)\s+:(\w+)\s+:([\w-]+)\s+(\S.*)$")
_LOOKS_LIKE_AN_EVENT = re.compile(r"-\s+-?\d+\s+:|-?\d+\s+:(?:invoke|ok|fail|info)\b")
_TYPES = ("ok", "fail", "info")


def is_log_line(line: str) -> bool:
    """True for a line with a log level, and for a piece of a stack trace."""
    return _LOG_LINE.search(line) is not None


def read(text: str) -> Reading:
    """Read a log. Lines about other things (the nemesis, set-up) are passed over. Raises MalformedHistory."""
    pairing = Pairing(_rule)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        event = _EVENT.search(line.rstrip())
        if event is None:
            if _LOOKS_LIKE_AN_EVENT.search(line) or not is_log_line(line):
                raise MalformedHistory(number, f"not a log line with process, type, operation and value: {line[:80]!r}")
            pairing.pass_over("lines about other things than operations", number)
            continue
        _take(pairing, event, number)
    return pairing.reading("jepsen log", start=None)


def _take(pairing: Pairing, event: re.Match[str], number: int) -> None:
    process, type_, kind, words = event.groups()
    if kind not in ("read", "write", "cas"):
        raise MalformedHistory(number, f"a register has read, write and cas, not {kind}")
    try:
        value = hashable(parse(words))
    except EdnError as error:
        raise MalformedHistory(number, f"not a value, {words!r}: {error}") from error
    if type_ == "invoke":
        pairing.invoke(int(process), kind, None, (None, None) if kind == "cas" and value is None else value, number)
    elif type_ in _TYPES:
        pairing.complete(int(process), kind, type_, value, number)
    else:
        raise MalformedHistory(number, f"an event is an invoke, ok, fail or info, not {type_}")


def _rule(kind: str, asked: Hashable, type_: str, value: Hashable) -> tuple[Outcome, Hashable]:
    if type_ == "ok":
        return Outcome.OK, {"read": value, "cas": True}.get(kind)
    if type_ == "fail" and kind == "read":
        return Outcome.FAILED, None
    if type_ == "fail" and kind == "cas" and isinstance(value, tuple):
        return Outcome.OK, False
    return Outcome.UNKNOWN, None
