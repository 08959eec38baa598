"""Floor 1: bytes that survive. An ordered key-value `Engine` with a disk door (LMDB) and a twin in memory."""
