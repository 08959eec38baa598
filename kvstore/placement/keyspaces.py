"""What a keyspace is: its name, mode, limits and the table of its partitions."""

import re
from typing import Final

import msgspec

from kvstore.core.errors import InvalidRequest, NotYetAvailable
from kvstore.core.ids import GroupId, KeyspaceId, NodeId, PartitionId
from kvstore.core.limits import PARTITIONS_DEFAULT, REPLICAS_DEFAULT, VALUE_BYTES_DEFAULT, VALUE_BYTES_MAX
from kvstore.placement.hashing import check_partitions, partition_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MODES: Final = ("leader", "multileader", "leaderless")
MODES_AVAILABLE: Final = ("leader", "leaderless")
ACKS: Final = ("leader", "majority", "all")
ACKS_DEFAULT: Final = "majority"
CONFLICTS: Final = ("siblings", "lww")
REPLICAS_MAX: Final = 9
HISTORY_VERSIONS_MAX: Final = 1_000_000
HISTORY_SECONDS_MAX: Final = 10 * 365 * 86_400


class Settings(msgspec.Struct, frozen=True, array_like=True):
    """What is chosen when a keyspace is created.

    `replicas` is how many nodes hold each partition, `value_bytes_max` the longest value in bytes. Superseded versions
    are kept for snapshots and as-of reads while they are among the newest `history_versions` of their key and were
    superseded less than `history_seconds` ago. `acks` is what a write waits for unless it says otherwise.

    Leaderless: so many replicas a read or a write needs (`read_quorum`, `write_quorum`; 0: a majority), whether hints
    for replicas that are down count among them (`sloppy`), and what becomes of concurrent writes (`conflicts`: all are
    kept as `siblings`, or the last writer wins, `lww`).
    """

    name: str
    mode: str = "leader"
    replicas: int = REPLICAS_DEFAULT
    partitions: int = PARTITIONS_DEFAULT
    value_bytes_max: int = VALUE_BYTES_DEFAULT
    history_versions: int = 16
    history_seconds: int = 60
    acks: str = ACKS_DEFAULT
    read_quorum: int = 0
    write_quorum: int = 0
    sloppy: bool = False
    conflicts: str = "siblings"

    @property
    def r(self) -> int:
        """How many replicas a leaderless read needs."""
        return self.read_quorum or majority_of(self.replicas)

    @property
    def w(self) -> int:
        """How many replicas a leaderless write needs."""
        return self.write_quorum or majority_of(self.replicas)


def majority_of(replicas: int) -> int:
    return replicas // 2 + 1


class Partition(msgspec.Struct, frozen=True, array_like=True):
    """One partition: the group that replicates it and the nodes it is on. The first is the preferred leader."""

    group: GroupId
    replicas: tuple[NodeId, ...]


class Keyspace(msgspec.Struct, frozen=True, array_like=True):
    """A keyspace as it was created, and where its partitions are now."""

    id: KeyspaceId
    settings: Settings
    partitions: tuple[Partition, ...]

    @property
    def name(self) -> str:
        return self.settings.name

    def partition_of(self, key: bytes) -> PartitionId:
        """The number of the partition that holds a key."""
        return partition_of(key, len(self.partitions))

    def rows(self) -> tuple[tuple[NodeId, ...], ...]:
        """The table as the planner reads and writes it: a row of replicas per partition."""
        return tuple(partition.replicas for partition in self.partitions)

    def __str__(self) -> str:
        settings = self.settings
        return f"{self.name} mode={settings.mode} n={settings.replicas} partitions={len(self.partitions)}"


def check_settings(settings: Settings) -> None:
    """Raises InvalidRequest for what can never be, NotYetAvailable for a mode that is not built yet."""
    if not NAME.fullmatch(settings.name):
        raise InvalidRequest(
            f"keyspace name {settings.name!r}: a letter or digit, then up to 63 of A-Z a-z 0-9 _ . - are allowed"
        )
    if settings.mode not in MODES:
        raise InvalidRequest(f"mode {settings.mode!r}: must be one of {', '.join(MODES)}")
    if settings.mode not in MODES_AVAILABLE:
        raise NotYetAvailable(f"mode {settings.mode} is not yet available; use mode {', '.join(MODES_AVAILABLE)}")
    if settings.acks not in ACKS:
        raise InvalidRequest(f"acks {settings.acks!r}: must be one of {', '.join(ACKS)}")
    check_partitions(settings.partitions)
    _check_range("replicas", settings.replicas, 1, REPLICAS_MAX)
    _check_range("value_bytes_max", settings.value_bytes_max, 1, VALUE_BYTES_MAX)
    _check_range("history_versions", settings.history_versions, 0, HISTORY_VERSIONS_MAX)
    _check_range("history_seconds", settings.history_seconds, 0, HISTORY_SECONDS_MAX)
    _check_leaderless(settings)


def _check_leaderless(settings: Settings) -> None:
    if settings.conflicts.startswith("crdt:"):
        raise NotYetAvailable(f"conflicts {settings.conflicts} is not yet available; use {' or '.join(CONFLICTS)}")
    if settings.conflicts not in CONFLICTS:
        raise InvalidRequest(f"conflicts {settings.conflicts!r}: must be one of {', '.join(CONFLICTS)}")
    if settings.mode != "leaderless":
        chosen = settings.read_quorum or settings.write_quorum or settings.sloppy or settings.conflicts != CONFLICTS[0]
        if chosen:
            raise InvalidRequest("read_quorum, write_quorum, sloppy and conflicts are for mode leaderless")
        return
    _check_quorum("read", settings.read_quorum, settings.replicas)
    _check_quorum("write", settings.write_quorum, settings.replicas)
    if settings.sloppy and settings.replicas == 1:
        raise InvalidRequest("sloppy: the keyspace has one replica, so there is nobody whom a hint could stand for")
    if settings.acks != ACKS_DEFAULT:
        raise InvalidRequest(
            f"acks {settings.acks!r} is for mode leader: how many replicas a leaderless write waits for is write_quorum"
        )


def _check_quorum(what: str, quorum: int, replicas: int) -> None:
    """0 stands for a majority."""
    if not 0 <= quorum <= replicas:
        raise InvalidRequest(
            f"{what}_quorum {quorum}: no {what} could ever succeed, for there are {replicas} replicas; "
            f"choose from 1 to {replicas}"
        )


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidRequest(f"{name} {value}: must be from {least} to {most}")
