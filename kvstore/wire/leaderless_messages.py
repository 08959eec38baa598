"""Messages between leaderless replicas: `replication/leaderless/messages.py` and peer.proto, a pair for each."""

from collections.abc import Callable, Sequence
from typing import Any

from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import NodeId
from kvstore.replication.leaderless.messages import (
    CompareTrees,
    Fetch,
    Fetched,
    FetchHashes,
    FetchPage,
    HashesFetched,
    LeavesListed,
    ListLeaves,
    Message,
    NotStored,
    PageFetched,
    Pull,
    Pulled,
    Record,
    Repair,
    Repaired,
    Store,
    Stored,
    TreesCompared,
)
from kvstore.v1 import peer_pb2 as pb


def _records_of(keys: Sequence[bytes], versions: Sequence[bytes]) -> list[Record]:
    if len(keys) != len(versions):
        raise MalformedFrame(f"{len(versions)} versions for {len(keys)} keys")
    return list(zip(keys, versions, strict=True))


def _put_store(addressed: pb.Addressed, message: Store) -> None:
    to = addressed.store
    to.id, to.owner = message.id, message.owner
    to.keys.extend([key for key, _ in message.records])
    to.versions.extend([versions for _, versions in message.records])


def _store_of(it: pb.Store) -> Store:
    return Store(it.id, _records_of(it.keys, it.versions), NodeId(it.owner))


def _put_stored(addressed: pb.Addressed, message: Stored) -> None:
    addressed.stored.id = message.id


def _stored_of(it: pb.Stored) -> Stored:
    return Stored(it.id)


def _put_not_stored(addressed: pb.Addressed, message: NotStored) -> None:
    addressed.not_stored.id, addressed.not_stored.why = message.id, message.why


def _not_stored_of(it: pb.NotStored) -> NotStored:
    return NotStored(it.id, it.why)


def _put_fetch(addressed: pb.Addressed, message: Fetch) -> None:
    to = addressed.fetch
    to.id, to.digests, to.mending = message.id, message.digests, message.mending
    to.keys.extend(message.keys)


def _fetch_of(it: pb.Fetch) -> Fetch:
    return Fetch(it.id, list(it.keys), it.digests, it.mending)


def _put_fetched(addressed: pb.Addressed, message: Fetched) -> None:
    to = addressed.fetched
    to.id, to.recovering = message.id, message.recovering
    to.answers.extend(message.answers)


def _fetched_of(it: pb.Fetched) -> Fetched:
    return Fetched(it.id, list(it.answers), it.recovering)


def _put_fetch_page(addressed: pb.Addressed, message: FetchPage) -> None:
    to = addressed.fetch_page
    to.id, to.start, to.end = message.id, message.start, message.end
    to.limit, to.bytes_max, to.mending = message.limit, message.bytes_max, message.mending


def _fetch_page_of(it: pb.FetchPage) -> FetchPage:
    return FetchPage(it.id, it.start, it.end, it.limit, it.bytes_max, it.mending)


def _put_page_fetched(addressed: pb.Addressed, message: PageFetched) -> None:
    to = addressed.page_fetched
    to.id, to.upto, to.recovering = message.id, message.upto, message.recovering
    to.keys.extend([key for key, _ in message.records])
    to.versions.extend([versions for _, versions in message.records])


def _page_fetched_of(it: pb.PageFetched) -> PageFetched:
    return PageFetched(it.id, _records_of(it.keys, it.versions), it.upto, it.recovering)


# ── anti-entropy ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_digests(keys: Sequence[bytes], digests: Sequence[int]) -> None:
    if len(keys) != len(digests):
        raise MalformedFrame(f"{len(digests)} digests for {len(keys)} keys")


def _put_compare_trees(addressed: pb.Addressed, message: CompareTrees) -> None:
    to = addressed.compare_trees
    to.id, to.bits, to.root = message.id, message.bits, message.root


def _compare_trees_of(it: pb.CompareTrees) -> CompareTrees:
    return CompareTrees(it.id, it.bits, it.root)


def _put_trees_compared(addressed: pb.Addressed, message: TreesCompared) -> None:
    to = addressed.trees_compared
    to.id, to.bits, to.equal = message.id, message.bits, message.equal
    to.busy, to.recovering = message.busy, message.recovering
    to.hashes.extend(message.hashes)


def _trees_compared_of(it: pb.TreesCompared) -> TreesCompared:
    return TreesCompared(it.id, it.bits, it.equal, it.busy, it.recovering, list(it.hashes))


def _put_fetch_hashes(addressed: pb.Addressed, message: FetchHashes) -> None:
    to = addressed.fetch_hashes
    to.id, to.depth, to.below = message.id, message.depth, message.below
    to.nodes.extend(message.nodes)


def _fetch_hashes_of(it: pb.FetchHashes) -> FetchHashes:
    return FetchHashes(it.id, it.depth, list(it.nodes), it.below)


def _put_hashes_fetched(addressed: pb.Addressed, message: HashesFetched) -> None:
    to = addressed.hashes_fetched
    to.id = message.id
    to.hashes.extend(message.hashes)


def _hashes_fetched_of(it: pb.HashesFetched) -> HashesFetched:
    return HashesFetched(it.id, list(it.hashes))


def _put_list_leaves(addressed: pb.Addressed, message: ListLeaves) -> None:
    to = addressed.list_leaves
    to.id, to.start, to.limit = message.id, message.start, message.limit
    to.leaves.extend(message.leaves)


def _list_leaves_of(it: pb.ListLeaves) -> ListLeaves:
    return ListLeaves(it.id, list(it.leaves), it.start, it.limit)


def _put_leaves_listed(addressed: pb.Addressed, message: LeavesListed) -> None:
    to = addressed.leaves_listed
    to.id, to.upto = message.id, message.upto
    to.keys.extend(message.keys)
    to.digests.extend(message.digests)


def _leaves_listed_of(it: pb.LeavesListed) -> LeavesListed:
    _check_digests(it.keys, it.digests)
    return LeavesListed(it.id, list(it.keys), list(it.digests), it.upto)


def _put_pull(addressed: pb.Addressed, message: Pull) -> None:
    to = addressed.pull
    to.id, to.young = message.id, message.young
    to.keys.extend(message.keys)
    to.digests.extend(message.digests)


def _pull_of(it: pb.Pull) -> Pull:
    _check_digests(it.keys, it.digests)
    return Pull(it.id, list(it.keys), list(it.digests), it.young)


def _put_pulled(addressed: pb.Addressed, message: Pulled) -> None:
    to = addressed.pulled
    to.id = message.id
    to.records.extend(message.records)


def _pulled_of(it: pb.Pulled) -> Pulled:
    return Pulled(it.id, list(it.records))


def _put_repair(addressed: pb.Addressed, message: Repair) -> None:
    to = addressed.repair
    to.id = message.id
    to.keys.extend([key for key, _ in message.records])
    to.versions.extend([versions for _, versions in message.records])


def _repair_of(it: pb.Repair) -> Repair:
    return Repair(it.id, _records_of(it.keys, it.versions))


def _put_repaired(addressed: pb.Addressed, message: Repaired) -> None:
    addressed.repaired.id, addressed.repaired.changed = message.id, message.changed


def _repaired_of(it: pb.Repaired) -> Repaired:
    return Repaired(it.id, it.changed)


PUT: dict[type, Callable[[pb.Addressed, Any], None]] = {
    Store: _put_store,
    Stored: _put_stored,
    NotStored: _put_not_stored,
    Fetch: _put_fetch,
    Fetched: _put_fetched,
    FetchPage: _put_fetch_page,
    PageFetched: _put_page_fetched,
    CompareTrees: _put_compare_trees,
    TreesCompared: _put_trees_compared,
    FetchHashes: _put_fetch_hashes,
    HashesFetched: _put_hashes_fetched,
    ListLeaves: _put_list_leaves,
    LeavesListed: _put_leaves_listed,
    Pull: _put_pull,
    Pulled: _put_pulled,
    Repair: _put_repair,
    Repaired: _put_repaired,
}

READ: dict[str, Callable[[Any], Message]] = {
    "store": _store_of,
    "stored": _stored_of,
    "not_stored": _not_stored_of,
    "fetch": _fetch_of,
    "fetched": _fetched_of,
    "fetch_page": _fetch_page_of,
    "page_fetched": _page_fetched_of,
    "compare_trees": _compare_trees_of,
    "trees_compared": _trees_compared_of,
    "fetch_hashes": _fetch_hashes_of,
    "hashes_fetched": _hashes_fetched_of,
    "list_leaves": _list_leaves_of,
    "leaves_listed": _leaves_listed_of,
    "pull": _pull_of,
    "pulled": _pulled_of,
    "repair": _repair_of,
    "repaired": _repaired_of,
}
