"""Histories as EDN maps, one event each: knossos files, and porcupine's key-value ones, under the rules of knossos.

``{:process 3, :type :invoke|:ok|:fail|:info, :f :read|:write|:cas|..., :value V}``, with `:key K` where there are
several objects. The maps lie in one vector or list, or loose, one after the other.

- `:fail` certainly did not happen, whatever the operation was.
- After `:info`, and without a completion, an operation may have happened.
- A completed `:read` with value nil answers any state: the source's model has it so.
- Processes that are not integers (`:nemesis`) are not clients.
- Registers start at 0 in the source's tests.
"""

from collections.abc import Hashable

from chaos.history import Outcome
from chaos.readers.edn import Document, EdnError, hashable
from chaos.readers.reading import MalformedHistory, Pairing, Reading

_COMPLETIONS = {":ok": "ok", ":fail": "fail", ":info": "info"}


def read(text: str) -> Reading:
    """Read all events. Raises MalformedHistory."""
    pairing = Pairing(_rule)
    try:
        for line, event in Document(text).events():
            if not isinstance(event, dict):
                raise MalformedHistory(line, f"an event is a map, not {event!r:.60}")
            _take(pairing, event, line)
    except EdnError as error:
        raise MalformedHistory(error.line, str(error)) from error
    return pairing.reading("EDN events", start=0)


def _take(pairing: Pairing, event: dict[Hashable, object], line: int) -> None:
    for wanted in (":process", ":type", ":f"):
        if wanted not in event:
            raise MalformedHistory(line, f"an event needs {wanted}")
    process, type_ = hashable(event[":process"]), event[":type"]
    if not isinstance(process, int) or isinstance(process, bool):
        pairing.pass_over("events of processes that are not clients", line)
        return
    kind = str(event[":f"]).removeprefix(":")
    value = hashable(event.get(":value"))
    if type_ == ":invoke":
        asked = (None, None) if kind == "cas" and value is None else value
        pairing.invoke(process, kind, hashable(event.get(":key")), asked, line)
    elif type_ in _COMPLETIONS:
        pairing.complete(process, kind, _COMPLETIONS[str(type_)], value, line)
    else:
        raise MalformedHistory(line, f"an event is an :invoke, :ok, :fail or :info, not {type_}")


def _rule(kind: str, asked: Hashable, type_: str, value: Hashable) -> tuple[Outcome, Hashable]:
    if type_ == "fail":
        return Outcome.FAILED, None
    if type_ == "info" or (kind == "read" and value is None):
        return Outcome.UNKNOWN, None
    return Outcome.OK, {"cas": True, "write": None}.get(kind, value)
