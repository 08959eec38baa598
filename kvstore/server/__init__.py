"""Floor 4, a door: a node on real sockets, a real disk and real clocks.

`main.py` starts one as a process, `runtime.py` drives it, `disk_writer.py` brings its batches to the disk.
"""
