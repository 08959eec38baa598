"""Messages between leaderless replicas: `replication/leaderless/messages.py` and peer.proto, a pair for each."""

from collections.abc import Callable, Sequence
from typing import Any

from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import NodeId
from kvstore.replication.leaderless.messages import (
    Fetch,
    Fetched,
    FetchPage,
    Message,
    PageFetched,
    Record,
    Store,
    Stored,
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


def _put_fetch(addressed: pb.Addressed, message: Fetch) -> None:
    to = addressed.fetch
    to.id, to.digests = message.id, message.digests
    to.keys.extend(message.keys)


def _fetch_of(it: pb.Fetch) -> Fetch:
    return Fetch(it.id, list(it.keys), it.digests)


def _put_fetched(addressed: pb.Addressed, message: Fetched) -> None:
    to = addressed.fetched
    to.id, to.recovering = message.id, message.recovering
    to.answers.extend(message.answers)


def _fetched_of(it: pb.Fetched) -> Fetched:
    return Fetched(it.id, list(it.answers), it.recovering)


def _put_fetch_page(addressed: pb.Addressed, message: FetchPage) -> None:
    to = addressed.fetch_page
    to.id, to.start, to.end = message.id, message.start, message.end
    to.limit, to.bytes_max = message.limit, message.bytes_max


def _fetch_page_of(it: pb.FetchPage) -> FetchPage:
    return FetchPage(it.id, it.start, it.end, it.limit, it.bytes_max)


def _put_page_fetched(addressed: pb.Addressed, message: PageFetched) -> None:
    to = addressed.page_fetched
    to.id, to.upto, to.recovering = message.id, message.upto, message.recovering
    to.keys.extend([key for key, _ in message.records])
    to.versions.extend([versions for _, versions in message.records])


def _page_fetched_of(it: pb.PageFetched) -> PageFetched:
    return PageFetched(it.id, _records_of(it.keys, it.versions), it.upto, it.recovering)


PUT: dict[type, Callable[[pb.Addressed, Any], None]] = {
    Store: _put_store,
    Stored: _put_stored,
    Fetch: _put_fetch,
    Fetched: _put_fetched,
    FetchPage: _put_fetch_page,
    PageFetched: _put_page_fetched,
}

READ: dict[str, Callable[[Any], Message]] = {
    "store": _store_of,
    "stored": _stored_of,
    "fetch": _fetch_of,
    "fetched": _fetched_of,
    "fetch_page": _fetch_page_of,
    "page_fetched": _page_fetched_of,
}
