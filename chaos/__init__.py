"""How we try to break it: faults drawn from a seed, workloads whose every answer is recorded, and checkers.

A run leaves a history (`chaos.history`): what each client asked, what it saw, and when. A checker judges a history
without knowing how it came about, so the same ones serve the simulator, live clusters, and files other people recorded
(`chaos.readers`). A workload (`chaos.workloads`) holds its operations, its model (what one copy, untroubled, would
answer) and its generator side by side.
"""
