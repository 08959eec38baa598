"""Floor 1: what the ways to replicate share. Below this room live `raft` and, later, its neighbours."""
