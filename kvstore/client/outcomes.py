"""What became of a write: asks the partition that would know, or all of a keyspace."""

from asyncio import Future, as_completed
from typing import Any

from kvstore.client.dispatch import Dispatch
from kvstore.client.read_parcels import OutcomeAsk
from kvstore.client.records import Outcome, Verdict, Written
from kvstore.client.routing import Route
from kvstore.core.commands import Result, Status
from kvstore.core.errors import InvalidRequest, KvError
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.ids import GroupId, OperationId
from kvstore.core.versions import CausalVersion, Version
from kvstore.placement.hashing import key_hash

Named = OperationId | Written | KvError | str
"""Whatever names an operation: its id or the id's text, what `write` returned, or the error that left doubt."""


def operation_of(named: Named) -> tuple[OperationId, bytes | None]:
    """The operation, and its key as stored if that is known from it. Raises InvalidRequest."""
    if isinstance(named, KvError):
        operation = named.facts.get("operation")
        if not isinstance(operation, str):
            raise InvalidRequest("this error names no operation: only errors of writes do")
        return operation_of(operation)[0], named.key
    if isinstance(named, Written):
        return named.operation, None
    if isinstance(named, OperationId):
        return named, None
    try:
        return OperationId.parse(named), None
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"{named!r} is not an operation id") from error


async def find_outcome(dispatch: Dispatch, route: Route, named: Named, key: bytes | None, deadline: float) -> Outcome:
    """What became of it, by the partition of the key, or by all of them. Raises as reads do.

    In a leaderless keyspace each replica is asked: those that a write did not reach know nothing of it.
    """
    operation, known_key = operation_of(named)
    stored = key or known_key
    groups = route.groups if stored is None else (route.group_of(stored),)
    if isinstance(named, Written):
        groups = (GroupId(named.receipt.group),)
    asks = [(group, node) for group in groups for node in _who_knows(dispatch, route, group)]
    asked: list[Future[Any]] = []
    for group, node in asks:
        ask = OutcomeAsk(route, group, deadline, operation, node)
        asked.append(ask.awaited(dispatch.loop))
        dispatch.enqueue(ask)
    answers = await _until_known(asked)
    for (group, _), answer in zip(asks, answers, strict=True):
        if answer is not None and not isinstance(answer, BaseException):
            return _outcome(route, group, stored, answer)
    for (_, node), answer in zip(asks, answers, strict=True):
        if isinstance(answer, KvError) and node:
            raise type(answer)(f"nobody else has seen it, but {node} may have: {answer}", **answer.facts) from answer
        if isinstance(answer, BaseException):
            raise answer  # whoever did not answer may be the one who knows
    return Outcome(Verdict.NOT_SEEN)


def _who_knows(dispatch: Dispatch, route: Route, group: GroupId) -> tuple[str, ...]:
    """The nodes to ask; "" is whoever is best."""
    return dispatch.directory.replicas_of(group) if route.is_leaderless else ("",)


async def _until_known(asked: "list[Future[Any]]") -> list[Any]:
    """The answers and errors; once somebody knows it the others need not answer."""
    try:
        for first in as_completed(asked):
            try:
                if await first is not None:
                    break
            except KvError:
                continue  # it is looked at below
    finally:
        for future in asked:
            future.cancel()
    return [None if future.cancelled() else future.exception() or future.result() for future in asked]


def _outcome(route: Route, group: GroupId, key: bytes | None, result: Result) -> Outcome:
    """Of a leaderless keyspace the version is told only where the node remembers its context, and the key is known."""
    if result.status != Status.WRITTEN:
        return Outcome(Verdict.REFUSED)
    if not route.is_leaderless:
        return Outcome(Verdict.WRITTEN, Version(route.timeline, group, Stamp(result.stamp)))
    if key is None or not result.context:
        return Outcome(Verdict.WRITTEN)
    version = CausalVersion(route.timeline, group, Stamp(result.stamp), key_hash(key), result.context)
    return Outcome(Verdict.WRITTEN, version)
