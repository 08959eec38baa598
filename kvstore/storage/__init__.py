"""Floor 1: bytes that survive. An ordered key-value `Engine` with a disk door (LMDB) and a twin in memory.

What is waited for goes to a journal first (`journal.py` tells what may, and why that is safe), the rest to the engine.
"""
