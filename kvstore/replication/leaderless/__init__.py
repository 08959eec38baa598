"""Leaderless replication: any replica takes a write, W of N must have it, R of N are asked.

    client ──▶ coordinator ──Store──▶ replica ──▶ disk
                   ▲  (one of the N)     │
                   └───────Stored────────┘

A *write* is merged by its coordinator (`core.causality.after_write`), which sends what it then knows of the key to all
the others, and answers when W of the N have that on disk. A *read* asks R replicas, merges what they say, and brings
those up to date that did not know it all. Nobody orders writes: two that do not know of each other are siblings.

What R + W > N gives: of the R replicas that a read asks at least one has the latest acknowledged write on its disk. And
because a read that found something which fewer than N - R + 1 of the N are known to have stores it on so many before it
answers, no later read goes back behind it. What it does not give: writes are not ordered, a write that failed may show
up later, and there is no compare-and-set. With R + W <= N, or with sloppy quorums while replicas are down, reads may be
stale; what was acknowledged is never lost either way.

`messages.py` says what replicas tell each other. What is still different, because a node was away too long or nobody
reads the key, anti-entropy finds: `merkle.py` is the number by which two replicas see that they know the same,
`comparing.py` how they find what they do not, `exchange.py` when they look.

The texts that this room follows: DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store", SOSP 2007; and
for versions those named in `core/causality.py`.
"""
