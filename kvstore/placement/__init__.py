"""Who holds what: from a key to its partition, from a partition to its nodes, and the plan behind it.

    key ── hashing.py ──▶ 64-bit hash ── top bits ──▶ partition ── ring.py ──▶ group and replicas, in order

Two different people meet here. *Readers* (`ring.py`) ask on every request; a `Ring` is never changed, a new plan makes
a new Ring with the next epoch. The *planner* (`ring_plan.py`) works when a keyspace is created or nodes come and go. It
promises, for every keyspace on its own:

- each partition has n replicas on n different nodes;
- they are spread over zones as evenly as the zones' sizes allow: n zones, or all zones where there are fewer than n;
- a node's number of replicas is its weighted share, rounded; with equal weights and zones that do not force more, no
  node has more than the average rounded up;
- preferred leaders (the first replica of a row) are spread by weight as fairly as the rows allow; with equal weights no
  node leads more than the average rounded up, unless zones force uneven replicas;
- what is already in place stays unless a promise above would break, and what moves is said;
- the same input gives the same plan on every machine.

Unlike a ring of virtual nodes (Dynamo, ketama), whose load varies by chance, the table of partition → nodes is made
explicitly, as in Redis Cluster, Voldemort or Garage: hashing only says which partition a key is in, and never changes.

Not done here: splitting partitions, moving data (the replicas do it), deciding who is alive.
"""
