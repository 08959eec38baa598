"""Chronicle: what a node tells its log of the cluster, each change once: who came, who went, how much it leads."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvstore.node.node import Node

log = logging.getLogger("kvstore.server.cluster")


class Chronicle:
    """Remembers what it said last. Looking costs little and says nothing if nothing changed."""

    def __init__(self) -> None:
        self._up: set[str] = set()
        self._leads = 0
        self._crowded: set[tuple[int, bytes]] = set()

    def look_at_peers(self, node: "Node") -> None:
        """Who is heard, and who is not any more."""
        for name, peer in node.liveness.peers.items():
            if peer.up and name not in self._up:
                self._up.add(name)
                log.info("%s is up", name)
            elif not peer.up and name in self._up:
                self._up.remove(name)
                log.warning("%s is down", name)

    def look_at_groups(self, node: "Node") -> None:
        """How many groups it leads: asked now and then only, for an election changes it many times."""
        hosts = list(node.groups.raft_hosts())
        leads = sum(host.raft.is_leader for host in hosts)
        if leads != self._leads:
            self._leads = leads
            log.info("leads %d of %d groups", leads, len(hosts))

    def look_at_siblings(self, node: "Node") -> None:
        """Keys that came to have many."""
        for host in node.groups.quorum_hosts():
            for key, count in host.replica.crowding.keys.items():
                if (host.group, key) not in self._crowded:
                    self._crowded.add((host.group, key))
                    log.warning(
                        "key %r of group %d has %d siblings: who writes it does not send back what was read, or does "
                        "not merge; at 100 writes are refused", key, host.group, count,
                    )  # fmt: skip
