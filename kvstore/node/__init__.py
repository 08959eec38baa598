"""Floor 3: one whole node, still without a socket.

`Node.step(now, events) -> Effects` is the whole node as a function of what it hears: frames from peers, calls from
clients, the disk's word that something is safe, and time. It hosts one Raft replica for each of its groups
(`groups.py`), each with the state it has applied (`partition_state.py`, or `metadata.py` for group 0), and keeps the
law of effects in one place (`tickets.py`): what was promised leaves only when it is on disk.
"""
