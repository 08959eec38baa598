"""Raft, one group of it: a leader orders everything, a majority remembers it.

The problem: a few nodes keep copies of one log, messages are lost, late, doubled and reordered, nodes stop and come
back with what their disks held. The promise: an entry that was once delivered as committed is delivered by every
replica at that index, for ever, as long as a majority of the disks survives; and while a majority can talk, the log
grows. We follow Ongaro's thesis ("Consensus: Bridging Theory and Practice", 2014); sections are named where they are
obeyed.

    event ──►  replica.py  who hears what      ──► effects: persist, send, promise, commit, answer reads, wake me
                  │
                  ├── election.py      pre-vote, votes, candidates            following.py   patience and loyalty
                  ├── appending.py     proposals, entries, where logs meet    progress.py    one follower's pace
                  ├── commitment.py    when an index is safe                  log.py         entries in memory
                  ├── heartbeating.py  the tick, and what heartbeats mend     contact.py     lease, check-quorum, trust
                  ├── reading.py       linearizable reads without writing     leadership.py  what only a leader knows
                  ├── snapshotting.py  too far behind to stream
                  ├── transferring.py  handing leadership over
                  ├── recovery.py      coming back without a disk
                  └── quiescing.py     idle groups stop their clocks

How to read it: `messages.py`, then `effects.py` with the law between events and effects, then `replica.py`, then a
rule at a time. Each rule is a file of plain functions on the replica; `become_follower`, `become_candidate` and
`become_leader` are the only places where the role changes.

Where we do as the thesis says, and which of its options we take:
- one vote a term, up-to-date logs only, own-term commits, an empty entry at the start of each term (§3.4–3.6, §6.4);
- pre-vote and check-quorum (§9.6, §6.2); a server that has heard from a leader within the minimum election timeout
  neither votes nor takes over a term (§4.2.3), also after a restart, because the lease rests on it;
- pipelined, batched appends; the leader writes to its disk while its followers do, and counts itself like one of them
  (§10.2.1); reads by lease or by a round of heartbeats (§6.4, §6.4.1); leader transfer (§3.10).

Where we deviate:
- *Heartbeats are not empty appends.* They are a message of their own, small, alike for all groups, and on the same
  beat in all groups of a node, so that one frame carries those of a thousand groups. They never touch the log; their
  answers show how far it got, which repairs lost appends.
- *Where two logs meet* is found with one question per term, not per entry (a hint in the rejection, like etcd's).
- *Snapshots* are pushed in chunks under a cursor that resumes, each on disk before it is acknowledged; the log may
  stream on beside the image when only the state is damaged.
- *A lease is counted from when the leader spoke*, as echoed by the follower, with a margin for drifting clocks; once
  a TimeoutNow has left there is no lease in that term any more, because the election it causes may come late.
- *Followers know how fresh they are* without synchronised clocks: the leader echoes their own clock (following.py).
- *A disk that was lost* does not need a membership change: the replica comes back as RECOVERING and earns its vote
  again (recovery.py, with the safety argument).
- *Idle groups are silent* and rely on the liveness of nodes (quiescing.py).
- *Leaders spread*: each group may have a preferred leader, to which leadership goes once it keeps up; and a leader
  whose disk is slow hands over to a follower that is ahead of it (transferring.py).

What it does not do: membership changes and learners (a group's voters are fixed for now), and sessions or
exactly-once (the state machine above does that).
"""
