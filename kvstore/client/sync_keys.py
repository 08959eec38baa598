"""SyncKeys: what can be done with one key, each call returning when it is done. `AsyncKeys` is where it is made."""

from collections.abc import Callable
from typing import Generic, TypeVar, overload

from kvstore.client.async_keys import found_instead
from kvstore.client.async_space import AsyncSpace
from kvstore.client.documented import like
from kvstore.client.keys import Key, Token
from kvstore.client.loop_thread import LoopThread
from kvstore.client.options import Resolver
from kvstore.client.records import Record, Sibling, Written
from kvstore.client.views import limit_of
from kvstore.core.errors import PreconditionFailed
from kvstore.core.versions import CausalVersion, Version

V = TypeVar("V")
D = TypeVar("D")


class SyncKeys(Generic[V]):
    """Reading and writing single keys of a view."""

    def __init__(self, inner: AsyncSpace[V], thread: LoopThread) -> None:
        self._inner, self._thread = inner, thread

    @like(AsyncSpace.put)
    def put(
        self,
        key: Key,
        value: V,
        *,
        if_absent: bool = False,
        if_version: Token | None = None,
        context: Token | None = None,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Version:
        return self._thread.run(
            self._inner.put(
                key,
                value,
                if_absent=if_absent,
                if_version=if_version,
                context=context,
                acks=acks,
                write=write,
                sloppy=sloppy,
                timeout=timeout,
            )
        )

    @like(AsyncSpace.write)
    def write(
        self,
        key: Key,
        value: V,
        *,
        if_absent: bool = False,
        if_version: Token | None = None,
        context: Token | None = None,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Written:
        return self._thread.run(
            self._inner.write(
                key,
                value,
                if_absent=if_absent,
                if_version=if_version,
                context=context,
                acks=acks,
                write=write,
                sloppy=sloppy,
                timeout=timeout,
            )
        )

    @like(AsyncSpace.delete)
    def delete(
        self,
        key: Key,
        *,
        if_version: Token | None = None,
        context: Token | None = None,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> bool:
        return self._thread.run(
            self._inner.delete(
                key, if_version=if_version, context=context, acks=acks, write=write, sloppy=sloppy, timeout=timeout
            )
        )

    @like(AsyncSpace.resolve)
    def resolve(
        self,
        record: Record[V],
        value: V | Sibling[V],
        *,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Version:
        return self._thread.run(self._inner.resolve(record, value, write=write, sloppy=sloppy, timeout=timeout))

    @like(AsyncSpace.update)
    def update(
        self,
        key: Key,
        change: Callable[[V | None], V],
        *,
        acks: str | None = None,
        read: int | str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        resolver: Resolver | str | None = None,
        timeout: float | str | None = None,
    ) -> V:
        with limit_of(self._inner, timeout):
            record, value = self._thread.run(self._inner.read_to_change(key, read=read, resolver=resolver))
            if isinstance(record.version, CausalVersion):
                value = change(value)
                self.put(key, value, context=record, acks=acks, write=write, sloppy=sloppy)
                return value
            while True:
                value = change(record.value)
                try:
                    self.put(
                        key, value, if_absent=not record.exists, if_version=record.version, acks=acks, write=write,
                        sloppy=sloppy,
                    )  # fmt: skip
                    return value
                except PreconditionFailed as error:
                    record = found_instead(error) or self.read(key)

    @like(AsyncSpace.erase)
    def erase(
        self,
        key: Key,
        *,
        if_version: Token | None = None,
        context: Token | None = None,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Written:
        return self._thread.run(
            self._inner.erase(
                key, if_version=if_version, context=context, acks=acks, write=write, sloppy=sloppy, timeout=timeout
            )
        )

    @overload
    def get(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> V | None: ...

    @overload
    def get(
        self,
        key: Key,
        default: D,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> V | D: ...

    @like(AsyncSpace.get)
    def get(
        self,
        key: Key,
        default: D | None = None,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> V | D | None:
        return self._thread.run(
            self._inner.get(
                key,
                default,
                consistency=consistency,
                read=read,
                timeout=timeout,
                max_staleness=max_staleness,
                resolver=resolver,
            )
        )

    @like(AsyncSpace.read)
    def read(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Record[V]:
        return self._thread.run(
            self._inner.read(key, consistency=consistency, read=read, timeout=timeout, max_staleness=max_staleness)
        )

    @like(AsyncSpace.exists)
    def exists(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> bool:
        return self._thread.run(
            self._inner.exists(key, consistency=consistency, read=read, timeout=timeout, max_staleness=max_staleness)
        )
