"""Leaderless replication: any replica takes a write, W of N must have it, R of N are asked.

    client ──▶ coordinator ──Store──▶ replica ──▶ disk
                   ▲  (one of the N)     │
                   └───────Stored────────┘

A *write* is merged by its coordinator (`core.causality.after_write`), which sends what it then knows of the key to all
the others, and answers when W of the N have that on disk. A *read* asks R replicas, merges what they say, and brings
those up to date that did not know it all. Nobody orders writes: two that do not know of each other are siblings.

What R + W > N gives: of the R replicas that a read asks at least one has the latest acknowledged write on its disk. And
before a read is answered, all R that it asked have on their disks what they know together; so with R more than half of
N no later read goes back behind it. What it does not give: writes are not ordered, a write that failed may show up
later, and there is no compare-and-set. With R + W <= N, or with sloppy quorums while replicas are down, reads may be
stale. What was acknowledged is lost only with all the disks that it was acknowledged from.

While replicas are down a write may have its quorum all the same, if it wants to (`sloppy`): nodes that are none of the
key's replicas keep it for those, on their disks (`standing_in.py`), and return it (`guest.py`).

Reading on: `messages.py` says what replicas tell each other, `writes.py` and `storing.py` what becomes of a write,
`reads.py` of a read, `paging.py` of a range (and how a lost disk is filled again), `hints.py` what is owed to who was
away, `replica.py` who hears what. What is still different, because a node was away too long or nobody reads the key,
anti-entropy finds: `merkle.py` is the number by which two replicas see that they know the same, `comparing.py` how they
find what they do not, `exchange.py` when they look.

What a replica forgets at a crash was never acknowledged by it: an entry of its own log is on disk before `Stored`
leaves. What it sent before that may live on elsewhere, which is why a new life is a new actor (`core/causality.py`).

The texts that this room follows: DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store", SOSP 2007; and
for versions those named in `core/causality.py`.
"""
