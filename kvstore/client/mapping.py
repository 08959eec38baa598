"""SpaceMapping: keys and values as a dict-like object, for code that takes a mapping."""

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, TypeVar

from kvstore.client.keys import Key, key_bytes
from kvstore.client.records import Record
from kvstore.core.errors import InvalidRequest, NotFound, PreconditionFailed

if TYPE_CHECKING:
    from kvstore.client.space import Space

V = TypeVar("V")


class _Absent:
    """Stands for the value of a key that does not exist, where None may be one."""


_ABSENT = _Absent()
CLEAR_KEYS = 1_000


class SpaceMapping(MutableMapping[Key, V]):
    """A space as a MutableMapping. Made by `mapping()`.

    Each access is a request to the cluster; each is atomic by itself, sequences of them are not. Iterating scans, in
    order of keys, and gives keys as bytes. In a leaderless keyspace setting a key reads it first and replaces what is
    found, so that one after the other makes no siblings; and `setdefault` is not atomic.
    """

    def __init__(self, space: "Space[V]") -> None:
        self._space = space

    def __getitem__(self, key: Key) -> V:
        value = self._space.get(key, _ABSENT)
        if isinstance(value, _Absent):
            raise NotFound(f"there is no key {key!r}", key=key_bytes(key))
        return value

    def __setitem__(self, key: Key, value: V) -> None:
        if self._space.info().is_leaderless:
            self._space.put(key, value, context=self._space.read(key))
        else:
            self._space.put(key, value)

    def __delitem__(self, key: Key) -> None:
        if not self._space.delete(key):
            raise NotFound(f"there is no key {key!r}", key=key_bytes(key))

    def __contains__(self, key: object) -> bool:
        try:
            return self._space.exists(key)  # type: ignore[arg-type]  # anything may be asked for; what is no key is not in it
        except InvalidRequest:
            return False

    def __iter__(self) -> Iterator[bytes]:
        return self._space.scan(keys_only=True)

    def __len__(self) -> int:
        """Counts by scanning: slow for many keys."""
        return sum(1 for _ in self)

    def setdefault(self, key: Key, default: V) -> V:
        """The value of the key, which becomes `default` if there is none: atomically, where there is a leader."""
        if self._space.info().is_leaderless:
            return super().setdefault(key, default)
        try:
            self._space.put(key, default, if_absent=True)
        except PreconditionFailed as error:
            current: Record[V] = error.current
            return self[key] if current.value is None else current.value
        return default

    def clear(self) -> None:
        """Delete every key, a thousand at a time."""
        doomed: list[bytes] = []
        for key in self:
            doomed.append(key)
            if len(doomed) == CLEAR_KEYS:
                self._delete_all(doomed)
                doomed = []
        self._delete_all(doomed)

    def _delete_all(self, keys: list[bytes]) -> None:
        with self._space.batch() as batch:
            for key in keys:
                batch.delete(key)

    def __repr__(self) -> str:
        return f"<SpaceMapping of {self._space!r}>"
