"""LMDB's errors in our words: none of them leaves the door."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC

import lmdb

from kvstore.core.errors import (
    Corruption,
    InvalidRequest,
    KvError,
    Overloaded,
    RequestTooLarge,
    StorageFull,
    Unavailable,
    VersionSkew,
)

_TRANSLATIONS: tuple[tuple[type[lmdb.Error], type[KvError]], ...] = (
    (lmdb.MapFullError, StorageFull),
    (lmdb.DiskError, StorageFull),  # ENOSPC
    (lmdb.TxnFullError, RequestTooLarge),
    (lmdb.BadValsizeError, InvalidRequest),
    (lmdb.ReadersFullError, Overloaded),
    (lmdb.CorruptedError, Corruption),
    (lmdb.PageNotFoundError, Corruption),
    (lmdb.InvalidError, Corruption),
    (lmdb.BadTxnError, Corruption),  # the transaction met one of these before
    (lmdb.CursorFullError, Corruption),
    (lmdb.PageFullError, Corruption),
    (lmdb.VersionMismatchError, VersionSkew),
)


def translated(error: lmdb.Error, doing: str) -> KvError:
    """Inside the house only KvError exists. What is not in the table, such as a closed handle, is Unavailable."""
    ours = next((ours for theirs, ours in _TRANSLATIONS if isinstance(error, theirs)), Unavailable)
    facts = {"map_full": True} if isinstance(error, lmdb.MapFullError) else {}
    return ours(f"{doing}: {error}", **facts)


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """For LMDB's errors and the system's."""
    try:
        yield
    except KvError:
        raise  # some of ours are OSErrors too
    except lmdb.Error as error:
        raise translated(error, doing) from error
    except OSError as error:
        ours = StorageFull if error.errno == ENOSPC else Unavailable
        raise ours(f"{doing}: {error}") from error
