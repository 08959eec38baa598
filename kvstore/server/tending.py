"""Tending: what a node asks the others to do when somebody wants it now: compare replicas, read disks."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import chain
from time import monotonic
from typing import NamedTuple

import msgspec

from kvstore.core.errors import DeadlineExceeded, InvalidRequest, NoLeader, WrongMode
from kvstore.core.ids import NodeId
from kvstore.node.requests import Answer, ComparedPeer, Failure, RepairRequest, Scrubbed, ScrubRequest, Told
from kvstore.placement.keyspaces import Keyspace, Partition
from kvstore.placement.ring import Ring
from kvstore.server.runtime import NodeRuntime
from kvstore.v1 import admin_pb2 as pb

PARTITIONS_AT_ONCE = 4
"""Comparisons of so many partitions are under way at the same time."""
ANSWERING_MS = 100
"""Kept of a caller's time for the way back."""
_PEERS = msgspec.json.Decoder(list[ComparedPeer])


class Work(NamedTuple):
    """One partition whose replicas are to be compared."""

    keyspace: Keyspace
    number: int
    partition: Partition


async def repair(runtime: NodeRuntime, ring: Ring, request: pb.RepairRequest, deadline_ms: int) -> pb.RepairReply:
    """Have each pair of replicas compared. A pair that cannot be is in the reply, with why.

    Raises UnknownKeyspace, WrongMode, or InvalidRequest for a partition that is none.
    """
    ends_at = monotonic() + (deadline_ms - ANSWERING_MS) / 1000
    gate = asyncio.Semaphore(PARTITIONS_AT_ONCE)

    async def of(work: Work) -> list[pb.ComparedPair]:
        async with gate:
            return await _compare(runtime, work, request.check, ends_at)

    found = await asyncio.gather(*map(of, _work(ring, request)))
    return pb.RepairReply(pairs=chain.from_iterable(found))


def _work(ring: Ring, request: pb.RepairRequest) -> Iterator[Work]:
    keyspaces = [ring.keyspace(request.keyspace)] if request.keyspace else sorted(ring.keyspaces, key=lambda k: k.name)
    for keyspace in keyspaces:
        if keyspace.settings.mode != "leaderless":
            if request.keyspace:
                raise WrongMode(
                    f"{keyspace.name} is in {keyspace.settings.mode} mode: its replicas follow the log of a leader, "
                    "and there is nothing to repair"
                )
            continue
        count = len(keyspace.partitions)
        if request.HasField("partition") and request.partition >= count:
            raise InvalidRequest(
                f"partition {request.partition}: {keyspace.name} has {count}, numbered from 0 to {count - 1}"
            )
        for number, partition in enumerate(keyspace.partitions):
            if not request.HasField("partition") or number == request.partition:
                yield Work(keyspace, number, partition)


async def _compare(runtime: NodeRuntime, work: Work, check: bool, ends_at: float) -> list[pb.ComparedPair]:
    """Each pair once: of two replicas the one with the smaller name asks. One asks after the other, so that none finds
    another one busy."""
    names: list[str] = sorted(work.partition.replicas)
    pairs: list[pb.ComparedPair] = []
    for nth, asker in enumerate(names[:-1]):
        peers = names[nth + 1 :]
        left_ms = int((ends_at - monotonic()) * 1000)
        if left_ms <= 0:
            found = [ComparedPeer(peer, "there was no time left for it") for peer in peers]
        else:
            asked = RepairRequest(work.partition.group, asker, peers, check)
            found = _told(asker, peers, await runtime.answer(asked, left_ms))
        pairs += [
            pb.ComparedPair(
                keyspace=work.keyspace.name,
                partition=work.number,
                asker=asker,
                peer=one.peer,
                failed=one.failed,
                differing=one.differing,
                pulled=one.pulled,
                pushed=one.pushed,
                skipped=one.skipped,
                bytes=one.bytes,
                ms=one.ms,
            )
            for one in sorted(found, key=lambda one: one.peer)
        ]
    return pairs


def _told(asker: str, peers: Sequence[str], answer: Answer) -> list[ComparedPeer]:
    if isinstance(answer, Told):
        return _PEERS.decode(answer.json)
    why = answer.message if isinstance(answer, Failure) else "it answered something else"
    if isinstance(answer, Failure) and answer.code == NoLeader.code:
        why = f"{asker} is down"
    return [ComparedPeer(peer, why) for peer in peers]


async def scrub(runtime: NodeRuntime, ring: Ring, request: pb.ScrubRequest, deadline_ms: int) -> pb.ScrubReply:
    """Have nodes read their disks. One that is down, or not done in time, is in the reply with that."""
    if request.node and NodeId(request.node) not in ring.nodes:
        raise InvalidRequest(f"there is no node {request.node!r}")
    names = [request.node] if request.node else sorted(ring.nodes)
    left_ms = max(1, deadline_ms - ANSWERING_MS)
    answers = await asyncio.gather(*(runtime.answer(ScrubRequest(name), left_ms) for name in names))
    return pb.ScrubReply(nodes=map(_scrubbed, names, answers))


def _scrubbed(name: str, answer: Answer) -> pb.ScrubbedNode:
    if isinstance(answer, Told):
        found = msgspec.json.decode(answer.json, type=Scrubbed)
        return pb.ScrubbedNode(
            node=name, rows=found.rows, bytes=found.bytes, damaged=found.damaged, mending=found.mending, ms=found.ms
        )
    why = answer.message if isinstance(answer, Failure) else "it answered something else"
    if isinstance(answer, Failure) and answer.code == NoLeader.code:
        why = f"{name} is down"
    if isinstance(answer, Failure) and answer.code == DeadlineExceeded.code:
        why = "not done yet: it goes on, and status tells what it finds"
    return pb.ScrubbedNode(node=name, failed=why)
