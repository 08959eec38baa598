"""How fast, compared with what: load on our own cluster, the same load on a peer, and the floor below both.

    python -m bench load          one closed-loop load on a fresh local cluster of kvstore
    python -m bench compare       the same load on kvstore and on a peer, in the same run, with ratios
    python -m bench anti-entropy  what leaderless replicas pay to see that they are equal, and to mend what is not
    python -m bench staleness     how stale reads of few replicas are, simulated, beside what the WARS model predicts
    python -m bench floor         what fsync, LMDB, TCP and gRPC cost on this machine

How it is measured, so that a figure means something:

- Closed loop. `outstanding` operations are always under way; the next starts when one ends. Latency is what
  the caller waits for, from the instant the request is handed over to the instant the answer is read.
- One store at a time. A fresh cluster of real processes in a temporary folder, all keys loaded, a warm-up
  that is not counted, then the window. Then everything stops and the next store starts.
- The load generator is a process of its own, and its CPU per operation is printed beside that of the nodes:
  on a machine where both share the cores, a heavy generator slows the store it measures.
- Both stores get the same keys, values, schedule, clock and percentiles from `workload.py` and
  `histogram.py`; only the last step, "send this operation", is written twice.
- Every write is on disk on a majority before it is counted. Nothing here turns fsync off.

    __main__.py         the command line; each subcommand is imported when it is called
    workload.py         what is asked: keys, values, operations, the window; and the one line that is answered
    histogram.py        latencies to percentiles
    processes.py        start and stop processes by pid, CPU seconds from /proc
    report.py           tables, JSON, ratios, facts about the machine
    stores.py           what is needed of a store to measure it, and how that fails
    hpack.py            HTTP/2 header blocks without a dynamic table
    http2.py            one HTTP/2 connection for unary gRPC calls; owns no socket
    etcd_messages.py    the few etcd messages the load needs, written by hand
    etcd_load.py        the load generator for etcd; a process of its own
    etcd_peer.py        three etcd members on this machine
    kvstore_load.py     the load generator for kvstore; a process of its own
    kvstore_cluster.py  a fresh local cluster of kvstore
    load.py             `bench load`: one measurement of one store, from start to stop
    quorums.py          `bench load --mode leaderless`: beside leader mode in the same run, with and without a dead node
    compare.py          `bench compare`: stores in turn, rows side by side
    anti_entropy.py     `bench anti-entropy`
    staleness.py        `bench staleness`
    wars.py             the WARS model: laws of delays, trials, predictions
    floor.py            `bench floor`
    floor_echo.py       the echo servers `floor` talks to; a process of its own
    floor_frames.py     length-prefixed frames over TCP, as plain as they can be
"""
