"""The act without a leader: the network is cut in two, both sides go shopping, and afterwards no item is missing.

Carts are sets of items. While the network is cut, each side sees its own carts only, and adds to them. When it is whole
again the carts of both sides meet: as siblings, which are merged by whoever reads them.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.demo_screen import Screen
from kvstore.client import codecs
from kvstore.client.async_client import AsyncClient
from kvstore.client.async_space import AsyncSpace
from kvstore.client.grpc_link import GrpcLink
from kvstore.client.link import Link
from kvstore.core.errors import KvError
from kvstore.local.processes import LocalCluster

KEYSPACE = "carts"
CARTS = 60
SHOPPERS = 4
"""On each side."""
SHOPPING_S, SHOPPING_S_MAX = 3.0, 30.0
NOTICED_S = 2.0
"""Nodes take a second to miss each other."""
LEVEL_S = 30.0
POLL_S = 0.1
SHOWN = 6
NOWHERE = "127.0.0.1:9"

Cart = list[str]


def both(_: bytes, carts: Sequence[Cart]) -> Cart:
    """What to make of siblings: everything that is in any of them."""
    return sorted(set().union(*carts))


@dataclass(slots=True)
class Side:
    """One part of the cut network: its clients, and what they were promised."""

    name: str
    nodes: tuple[str, ...]
    client: AsyncClient
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    """(cart, item)."""
    refused: int = 0

    async def shop(self) -> None:
        """Some shoppers, each adding one item after the other to one cart after the other, until all are in use."""
        await asyncio.gather(*(self._shop(number) for number in range(SHOPPERS)))

    async def _shop(self, shopper: int) -> None:
        carts = _carts(self.client).with_options(read="one", timeout=2.0)
        bought, began = 0, time.monotonic()
        while time.monotonic() - began < SHOPPING_S or (
            len(self.acknowledged) < 2 * CARTS and time.monotonic() - began < SHOPPING_S_MAX
        ):
            cart, item = f"cart:{(bought * SHOPPERS + shopper) % CARTS}", f"{self.name}-{shopper}-{bought}"
            bought += 1
            try:
                await carts.update(cart, lambda items, item=item: both(b"", [items or [], [item]]))  # type: ignore[misc]
                self.acknowledged.append((cart, item))
            except KvError:
                self.refused += 1


def _carts(client: AsyncClient) -> AsyncSpace[Cart]:
    return client.keyspace(KEYSPACE).space(codec=codecs.json).with_options(resolver=both)


def reaching(addresses: Sequence[str]) -> Callable[[str], Link]:
    """Links for a client that, like the nodes on its side, gets through to these addresses alone."""
    return lambda address: GrpcLink(address if address in addresses else NOWHERE)


@dataclass(slots=True)
class CartsAct:
    """The whole act on a cluster that is up."""

    cluster: LocalCluster
    store: AsyncClient
    screen: Screen

    async def run(self) -> tuple[int, list[str]]:
        """How many writes were acknowledged, and which items are missing in the end."""
        alone, *others = self.cluster.nodes
        self.screen.step(f"a leaderless keyspace, one disk is enough for a write; the network is cut: "
                         f"{alone} | {' '.join(others)}")  # fmt: skip
        await self.store.create_keyspace(KEYSPACE, mode="leaderless", write_quorum=1, read_quorum=2, if_absent=True)
        sides = [self._side("left", (alone,)), self._side("right", tuple(others))]
        try:
            await self._heard_of_everywhere()
            await asyncio.to_thread(self.cluster.partition, [alone], others)
            await asyncio.sleep(NOTICED_S)
            await asyncio.gather(*(side.shop() for side in sides))
            for side in sides:
                self.screen.say(f"{len(side.acknowledged):,} items were put into {CARTS} carts on the side of "
                                f"{' '.join(side.nodes)}, {side.refused} refused")  # fmt: skip
            await self._heal()
        finally:
            for side in sides:
                await side.client.close()
        return await self._judge([pair for side in sides for pair in side.acknowledged])

    async def _heard_of_everywhere(self) -> None:
        """Every node has heard of the keyspace: one that is cut off before that never would."""
        for node in self.cluster.nodes:
            async with AsyncClient(f"kv://{self.cluster.node(node).client}") as client:
                while all(made.name != KEYSPACE for made in await client.list_keyspaces()):  # noqa: ASYNC110 - polls
                    await asyncio.sleep(POLL_S)

    def _side(self, name: str, nodes: tuple[str, ...]) -> Side:
        addresses = [self.cluster.node(node).client for node in nodes]
        return Side(name, nodes, AsyncClient("kv://" + ",".join(addresses), link=reaching(addresses)))

    async def _heal(self) -> None:
        owed = sum(group["hints"].get(node, 0) for group in await self._groups() for node in group["hints"])
        self.screen.say(f"{owed:,} hints wait for nodes that cannot be reached")
        self.screen.step("the network is whole again")
        began = time.monotonic()
        await asyncio.to_thread(self.cluster.heal)
        while any(group["hints"] for group in await self._groups()):
            if time.monotonic() - began > LEVEL_S:
                self.screen.say(f"after {LEVEL_S:.0f} s hints are still waiting; anti-entropy has the rest")
                return
            await asyncio.sleep(POLL_S)
        self.screen.say(f"all hints were returned after {time.monotonic() - began:.1f} s")

    async def _groups(self) -> list[dict[str, Any]]:
        """Every replica's report on itself."""
        nodes = (await self.store.status()).nodes
        return [group for node in nodes for group in node.get("groups", ()) if group["mode"] == "leaderless"]

    async def _judge(self, acknowledged: list[tuple[str, str]]) -> tuple[int, list[str]]:
        names = sorted({cart for cart, _ in acknowledged})
        carts = _carts(self.store).with_options(read="all")
        records = {name: await carts.read(name) for name in names}
        split = [name for name in names if len(records[name].siblings) > 1]
        self.screen.say(f"{len(split)} of {len(names)} carts have siblings, as they should: neither side knew what "
                        "the other did")  # fmt: skip
        if split:
            self._show(split[0], [sibling.value for sibling in records[split[0]].siblings])
        for name in names:
            await carts.update(name, lambda items: items or [])
        final = {name: await carts.get(name) or [] for name in names}
        left = [name for name in names if len((await carts.read(name)).siblings) > 1]
        missing = [f"{item} in {cart}" for cart, item in acknowledged if item not in final[cart]]
        repairs = sum(group["read_repairs"] for group in await self._groups())
        self.screen.say(f"all were merged; {repairs:,} records were brought up to date by reads; "
                        f"{sum(map(len, final.values())):,} items are there, {len(missing)} are missing")  # fmt: skip
        return len(acknowledged) + len(names), missing + [f"{name} still has siblings" for name in left]

    def _show(self, name: str, siblings: list[Cart]) -> None:
        for items in siblings:
            more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
            self.screen.say(f"  {name}: {', '.join(items[:SHOWN])}{more}")
