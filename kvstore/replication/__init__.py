"""Floor 1: what the ways to replicate share. Below live `raft` and `leaderless`, and later their neighbour.

All three have one shape. A replica is a function from events to effects: it is handed the time, owns no clock, disk,
socket or dice, and whoever carries its effects out keeps one law, *persist before promise*. That makes a replica easy
to try on thousands of bad days in one process (`kvstore.sim`), and easy to run on a good one (`kvstore.server`).

What they share beyond the shape is counting: `quorum.py` says what a majority has reached and how a vote stands.
"""
