"""One seed, one bad day: a cluster in the simulator, clients at work, a nemesis, and everything that must still hold.

day.py          what a seed draws: cluster, limits, load, and which faults (when: chaos/nemesis.py, chaos/plots.py);
                leaderless_day.py: the same for a leaderless keyspace
oracle.py       the one log of each group as it was first applied, and what it must mean
news.py         what nodes are about to do, told to whom lies in wait
leaderless_disk.py, leaderless_watch.py, leaderless_ending.py: what is on the disks of leaderless groups, what must hold
                at any moment, and what must be in the end
watch.py        looks at every step of every node: Raft's promises, state against oracle, answers against both
ground.py       what the clients of every mode work on; traffic.py, leaderless_traffic.py: their work, and its history
ending.py       after the last fault: progress, convergence, power cut, nothing lost
run.py          one seed from the first event to the verdict
fence.py        clocks and dice of the outside are out of bounds meanwhile
command.py      python -m chaos sim
"""
