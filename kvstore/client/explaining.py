"""Explanation: what a keyspace's settings promise, in words, and what its reads found of late."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from kvstore.client.records import KeyspaceInfo
from kvstore.placement.keyspaces import Settings
from kvstore.placement.promises import Promise, promises_of
from kvstore.replication.leaderless.staleness import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a keyspace promises. `print` it, or look at its parts."""

    info: KeyspaceInfo
    promises: tuple[Promise, ...]
    """What its settings promise and what they do not, the most important first."""
    measured: Measured
    """Leaderless: what reads of two replicas or more found in the last hour, on all nodes that answered."""

    @classmethod
    def of(cls, info: KeyspaceInfo, reports: Iterable[Mapping[str, Any]]) -> "Explanation":
        """From the keyspace and the nodes' reports (`ClusterStatus.nodes`)."""
        measured = Measured()
        for report in reports:
            for group in report.get("groups", ()):
                if group["keyspace"] == info.name and group.get("staleness"):
                    measured.add(msgspec.convert(group["staleness"], Measured))
        return cls(info=info, promises=tuple(promises_of(settings_of(info))), measured=measured)

    def __str__(self) -> str:
        lines = [f"{'+' if promise.holds else '!'} {promise.about}: {promise.text}" for promise in self.promises]
        return "\n".join([str(self.info), *lines])


def settings_of(info: KeyspaceInfo) -> Settings:
    """The settings that a keyspace was created with."""
    return Settings(
        info.name,
        info.mode,
        info.replicas,
        info.partitions,
        info.value_bytes_max,
        info.history_versions,
        info.history_seconds,
        info.acks,
        info.read_quorum,
        info.write_quorum,
        info.sloppy,
        info.conflicts or "siblings",
    )
