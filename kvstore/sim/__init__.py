"""A universe in one heap: whole nodes under virtual time, and everything that can go wrong with them, from a seed.

The simulator is the pure twin of the doors: `server/` carries a node's effects out with sockets, threads and LMDB,
`sim/` carries out the same effects with a heap of (time, sequence number, target, event). Nothing in here reads a
clock, rolls unseeded dice or touches the outside, so one seed is one story, on every machine and in every interpreter.

    scheduler.py   the heap, virtual time in microseconds, and the trace whose hash proves that two runs were one
    clock.py       what a machine's clocks say: offset, jump and drift
    network.py     frames between machines: delay, loss, order, repetition, corruption, cuts
    disk.py        fsync takes time, and what is not synced can be lost
    machine.py     one computer: its clocks, disk and links, and the node that runs on it, or does not
    world.py       the node's world on top of these, and how a process stops in the middle of a step
    cluster.py     all machines, and the faults done to them
    client.py      a client that asks, waits, retries and follows leaders, as a real one does
    faults.py      the vocabulary of faults, shared with clusters of real processes

Chance comes in streams, one per concern ("network", "disk n1", "node n2 life 3"), each seeded by the text of seed and
name: one more draw in a node does not reshuffle the network.
"""
