"""Histories recorded elsewhere, and by us, as operations. `read_history` finds out from the content what it is given.

`jepsen_log`   the log lines of porcupine's etcd histories
`edn_events`   EDN maps, one event each: knossos histories, and porcupine's key-value ones
`json_lines`   our own recordings (the format is described in `chaos.history`)

Sources disagree about what an answer means (is a failed compare-and-set an observation, or did nothing happen?). Each
reader applies the rules of its source, so that afterwards an operation means the same wherever it came from.
"""

from chaos.readers.detection import read_history
from chaos.readers.reading import MalformedHistory, Reading

__all__ = ["MalformedHistory", "Reading", "read_history"]
