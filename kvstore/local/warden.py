"""Ends a local cluster when the process that wanted it is gone: python -m kvstore.local.warden FOLDER

Its stdin is a pipe whose other end only that process holds. The kernel closes it however that process ends, SIGKILL
included; a paused node cannot hold it up, and nodes started later by somebody else are in the cluster's state too.
"""

import sys

from kvstore.core.errors import NotConnected
from kvstore.local.processes import LocalCluster


def watch(folder: str) -> None:
    """Wait for the end of stdin, then take the cluster down, unless that was done in good order."""
    sys.stdin.buffer.read()
    try:
        LocalCluster(folder).down()
    except NotConnected:
        return


if __name__ == "__main__":
    watch(sys.argv[1])
