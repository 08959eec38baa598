"""Floor 0: the words everyone uses. Ids, clocks, versions, commands, records and errors; no I/O, no clock, no dice."""
