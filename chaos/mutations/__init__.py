"""Safety rules, each with the smallest patch that breaks it: a simulator that finds none of them proves nothing.

A mutation lives only inside `with rule.broken():`, in this process; nothing is written anywhere. `python -m chaos
mutate` plays seeds until each is caught, and says by which check and after how many.

    patching.py     putting another thing in a name's place, and back
    voting.py       elections, leases and reads
    copying.py      logs, commitment and images
    recovering.py   nodes that lost their disk
    applying.py     state, flushes, outcomes, requests
    leaderless.py   quorums, merging, dots, repair and anti-entropy, noticed on leaderless days
    outside.py      the disk, the wire and the clock lie
    command.py      python -m chaos mutate

Not in the list are rules that guard what another one guards as well, so that nobody can notice when one is gone:

* A leader that falls silent gives its lease up (`contact.drop_lease`): who answered it does not vote for an election
  timeout, whether quiet or not, and the lease is shorter than that.
* An entry that left the log and came back is on disk when it was written again (`Log.settle`): what depends on the
  disk leaves in the disk's order, and only entries of the leader's own term, which never leave its log, commit by
  counting. Kept for what receipts say of the disk, and by `tests/replication/raft/test_log.py`.
* Frames of an earlier incarnation are not heard (`Liveness.is_stale`): the argument in `raft/recovery.py` does not
  need it, since leaders distrust answers to what they sent before they heard of the loss.
"""
