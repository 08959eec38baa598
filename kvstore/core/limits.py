"""The limits everyone must agree on. Keyspaces may lower or raise those that say so."""

KEY_BYTES_MAX = 480
"""LMDB keys have at most 511 bytes; the rest is ours."""

VALUE_BYTES_DEFAULT = 1 << 20
"""A keyspace may choose another limit, up to VALUE_BYTES_MAX."""

VALUE_BYTES_MAX = 15 << 20

REQUEST_BYTES_MAX = 16 << 20
"""One message from a client, and one page of an answer."""

PARTITIONS_DEFAULT = 8
PARTITIONS_MAX = 4096
REPLICAS_DEFAULT = 3

OUTCOME_WINDOW_MS = 15 * 60 * 1000
"""How long the outcome of a write is remembered, in hybrid time of its partition. Promised: 10 minutes."""
