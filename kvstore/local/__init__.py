"""Clusters of real node processes on this machine: start, kill, pause, resume, restart, look.

    topology.py    a cluster file, parsed and checked
    ports.py       free ports
    process.py     one process: started, recognised again, signalled
    records.py     what is written down of a cluster: its state, and where clients find it
    processes.py   LocalCluster, and up, attach, list_clusters
    warden.py      a process that ends a cluster when the one that wanted it is gone
    status.py      one table of every node's one-line self

Only processes that were started here and written down are ever signalled: a process id counts together with the
moment its process began.
"""
