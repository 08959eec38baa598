"""Who is here: a node's name, zone, addresses, weight and standing, as every node of the cluster knows them."""

import re
from enum import StrEnum

import msgspec

from kvstore.core.errors import InvalidRequest
from kvstore.core.ids import NodeId

NODE_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
WEIGHT_DEFAULT = 100
WEIGHT_MAX = 10_000


class Standing(StrEnum):
    """What the cluster has decided about a node. Whether it answers right now is another question."""

    JOINING = "joining"  # known, follows the cluster's metadata, holds nothing yet
    UP = "up"  # holds replicas and gets new ones
    LEAVING = "leaving"  # its replicas are being moved away; it still serves them
    GONE = "gone"  # holds nothing and never will again under this incarnation


class NodeInfo(msgspec.Struct, frozen=True, array_like=True):
    """One node of the cluster. Addresses are `host:port`; an empty one says that it does not listen there.

    `weight` is its share of the load relative to the others; twice the weight is twice the replicas, as far as
    distinct nodes and zones allow.
    """

    id: NodeId
    zone: str = ""
    client_address: str = ""
    http_address: str = ""
    peer_address: str = ""
    weight: int = WEIGHT_DEFAULT
    standing: Standing = Standing.UP

    @property
    def may_hold_replicas(self) -> bool:
        """Whether a plan may put replicas here."""
        return self.standing is Standing.UP

    def __str__(self) -> str:
        zone = f" zone={self.zone}" if self.zone else ""
        return f"{self.id} {self.standing}{zone} weight={self.weight} peers={self.peer_address or '-'}"


def check_node(node: NodeInfo) -> None:
    """Raises InvalidRequest with the reason if the description of a node cannot be right."""
    if not NODE_ID.fullmatch(node.id):
        raise InvalidRequest(f"node id {node.id!r}: 1 to 64 characters of A-Z a-z 0-9 _ . - are allowed")
    if not 1 <= node.weight <= WEIGHT_MAX:
        raise InvalidRequest(f"node {node.id}: weight {node.weight} must be from 1 to {WEIGHT_MAX}")
    for name in ("client_address", "http_address", "peer_address"):
        address = getattr(node, name)
        if address and not is_address(address):
            raise InvalidRequest(f"node {node.id}: {name} {address!r} must be host:port")


def is_address(text: str) -> bool:
    """Whether a text is host:port with a port from 1 to 65535. IPv6 hosts stand in brackets."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]") and len(host) > 2
    plain = bool(host) and ":" not in host and not any(c.isspace() or c in "[]/" for c in host)
    return (bracketed or plain) and port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535
