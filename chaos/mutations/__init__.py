"""Safety rules, each with the smallest patch that breaks it: a simulator that finds none of them proves nothing.

A mutation lives only inside `with rule.broken():`, in this process; nothing is written anywhere. `python -m chaos
mutate` plays seeds until each is caught, and says by which check and after how many.

    patching.py     putting another thing in a name's place, and back
    voting.py       elections, leases and reads
    copying.py      logs, commitment and images
    recovering.py   nodes that lost their disk
    applying.py     state, flushes, outcomes, requests
    outside.py      the disk, the wire and the clock lie
    command.py      python -m chaos mutate
"""
