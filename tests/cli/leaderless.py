"""A command line on a leaderless keyspace: the real client, over links to the client tests' fake cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from kvstore.client.client import Client
from tests.cli.fake_client import CommandLine, FakeClient
from tests.client.fake_leaderless import LeaderlessCluster


@contextmanager
def leaderless_line() -> Iterator[tuple[CommandLine, Client, LeaderlessCluster]]:
    cluster = LeaderlessCluster()
    with Client(cluster.url, timeout=60, link=cluster.link) as db:
        line = CommandLine(client=cast(FakeClient, _Lasting(db)))
        yield line, db, cluster


class _Lasting:
    """The client, which is not closed after every command."""

    def __init__(self, db: Client) -> None:
        self._db = db

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)

    def close(self) -> None:
        """Whoever made it closes it."""
