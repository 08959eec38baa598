"""What a keyspace's settings promise, in words: one function from settings to sentences, for `kvstore explain`.

Quorums as in Gifford 1979 and Dynamo (DeCandia et al. 2007, §4.5); "regular" reads as in Lamport 1986. What is said
here of reads and writes is what the defaults of the keyspace give; a request that asks for less gets less.
"""

from typing import NamedTuple

from kvstore.placement.keyspaces import Settings, majority_of


class Promise(NamedTuple):
    """One thing that these settings promise, or do not. `about` is one or two words."""

    about: str
    holds: bool
    """False: better know it before."""
    text: str


def promises_of(settings: Settings) -> list[Promise]:
    """What settings promise whose `replicas` is known, the most important first.

    >>> [promise.about for promise in promises_of(Settings("a", "leaderless", 3, read_quorum=1)) if not promise.holds]
    ['freshness', 'going back', 'conditions']
    """
    return _leaderless(settings) if settings.mode == "leaderless" else _led(settings)


def warnings_of(settings: Settings) -> list[str]:
    """What a choice among the settings gave up: said when a keyspace is made."""
    chosen = ("durability", "freshness", "going back", "conflicts", "staying up")
    return [promise.text for promise in promises_of(settings) if not promise.holds and promise.about in chosen]


# ── leaderless ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _leaderless(settings: Settings) -> list[Promise]:
    return [
        _fresh(settings),
        _monotonic(settings),
        _durable(settings),
        _available(settings),
        _conflicts(settings),
        Promise(
            "conditions", False, "Puts with if_absent or if_version are refused: replicas take writes without asking "
            "each other. Read, and put with the context that the read gave: it replaces exactly what was read."
        ),
        Promise("retries", True, "A write that is tried again, at any replica, happens once (10 minutes at least)."),
        Promise(
            "repair", True, "A replica that missed writes gets them as hints when it is back, from reads that notice, "
            "and by comparison with the others in the background; kvstore cluster repair does that at once."
        ),
    ]  # fmt: skip


def _fresh(settings: Settings) -> Promise:
    n, r, w = settings.replicas, settings.r, settings.w
    if r + w <= n:
        return Promise(
            "freshness", False, f"Stale reads are possible: r + w = {r + w} is not more than n = {n}, so the "
            f"{_some(r)} that a read asks may all be others than the {_some(w)} that a write waited for."
        )  # fmt: skip
    if settings.sloppy and n > 1:
        return Promise(
            "freshness", False, f"While all replicas are up a read sees every write that was acknowledged before it "
            f"began (r + w = {r + w} is more than n = {n}). While one is down hints count for it (sloppy), and stale "
            "reads are possible until they have returned."
        )  # fmt: skip
    return Promise(
        "freshness", True, f"Regular reads: a read sees every write that was acknowledged before it began, or what "
        f"replaced it: r + w = {r + w} is more than n = {n}, so the two share a replica."
    )  # fmt: skip


def _monotonic(settings: Settings) -> Promise:
    n, r = settings.replicas, settings.r
    if r < majority_of(n):
        repaired = "" if r > 1 else " A read of one replica repairs nothing."
        return Promise(
            "going back", False, f"Reads may go back in time: r = {r} is not more than half of n = {n}, so a later "
            f"read may ask replicas that do not know yet what an earlier one saw.{repaired}"
        )  # fmt: skip
    return Promise(
        "going back", True, f"Reads never go back in time: what a read has seen is on the disks of r = {r} of {n} "
        "replicas, more than half, before it is answered."
        if n > 1
        else "Reads never go back in time: there is one replica."
    )  # fmt: skip


def _durable(settings: Settings) -> Promise:
    n, w = settings.replicas, settings.w
    if n == 1:
        return Promise("durability", False, "There is one replica: when its disk is lost, so is everything.")
    if w == 1:
        return Promise(
            "durability", False, "A write is acknowledged when one disk has it; the others get it at the same time, "
            "but nobody waits. If that disk is lost before they have it, the write is, too."
        )  # fmt: skip
    where = f"{w} of {n} replicas have it on disk"
    if settings.sloppy:
        return Promise(
            "durability", True, f"A write is acknowledged when {where}, or hints for those that are down count for "
            f"them. Without hints it survives the loss of any {_disks(w - 1)}."
        )  # fmt: skip
    return Promise(
        "durability", True, f"A write is acknowledged when {where}: it survives the loss of any {_disks(w - 1)}, "
        "and power loss everywhere."
    )  # fmt: skip


def _available(settings: Settings) -> Promise:
    n, r, w = settings.replicas, settings.r, settings.w
    reads = f"Reads go on while {_down(n - r, n)}"
    if settings.sloppy and n > 1:
        return Promise(
            "staying up", True, f"{reads}; writes while one replica is up, and enough nodes to keep hints (sloppy)."
        )
    writes = f"writes while {_down(n - w, n)}"
    if n > 1 and n in (r, w):
        return Promise("staying up", False, f"{reads}; {writes}: one node that is down stops them.")
    return Promise("staying up", n > 1, f"{reads}; {writes}.")


def _conflicts(settings: Settings) -> Promise:
    if settings.conflicts == "lww":
        return Promise(
            "conflicts", False, "The last writer wins: of writes at the same time the one with the largest stamp "
            "stays; the others are lost without a word, acknowledged or not. If clocks differ, a later write may lose."
        )  # fmt: skip
    return Promise(
        "conflicts", True, "Writes at the same time are all kept, as siblings, until a put with their context replaces "
        "them, 100 of a key at most: no write makes another one disappear that its client had not seen."
    )  # fmt: skip


# ── leader mode ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _led(settings: Settings) -> list[Promise]:
    n = settings.replicas
    spare = n - majority_of(n)
    stopped = f"{_down(spare, n)}; a majority elects another leader within a second or so"
    return [
        Promise(
            "freshness", True, "Reads are linearizable: a read sees every write that was acknowledged before it began. "
            "Requests may ask for less: leader, follower."
        ),
        Promise("going back", True, "Reads never go back in time, unless they ask followers."),
        _durable_led(settings),
        Promise(
            "staying up", spare > 0, f"Writes and reads go on while {stopped}." if spare
            else f"No node may be down: it takes {majority_of(n)} of {_some(n)} to go on."
        ),
        Promise("conflicts", True, "There are none: the leader of a partition puts its writes in one order."),
        Promise(
            "conditions", True, "Puts with if_absent or if_version compare and set as one step, also under failures."
        ),
        Promise("retries", True, "A write that is tried again happens once and gets the first answer (10 minutes at "
                "least)."),
        _history(settings),
    ]  # fmt: skip


def _durable_led(settings: Settings) -> Promise:
    n = settings.replicas
    if n == 1:
        return Promise("durability", False, "There is one replica: when its disk is lost, so is everything.")
    match settings.acks:
        case "leader":
            return Promise(
                "durability", False, "A write is acknowledged when its leader has it on disk: if the leader is lost "
                "before the others have it, so is the write. Requests may ask for more: acks=majority."
            )  # fmt: skip
        case "all":
            return Promise(
                "durability", True, f"A write is acknowledged when all {n} replicas have it on disk: while one is down "
                "it is made, but its acknowledgement does not come."
            )  # fmt: skip
    kept = majority_of(n)
    return Promise(
        "durability", True, f"A write is acknowledged when {kept} of {n} replicas have it on disk: it survives the "
        f"loss of any {_disks(kept - 1)}, and power loss everywhere."
    )  # fmt: skip


def _history(settings: Settings) -> Promise:
    if not (settings.history_versions and settings.history_seconds):
        return Promise("history", True, "Old versions are not kept.")
    return Promise(
        "history", True, f"Up to {settings.history_versions} old versions of a key are kept, for "
        f"{settings.history_seconds} seconds."
    )  # fmt: skip


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _some(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"


def _disks(count: int) -> str:
    return "one disk" if count == 1 else f"{count} disks"


def _down(count: int, replicas: int) -> str:
    """How many may be down.

    >>> _down(0, 3), _down(1, 3)
    ('all 3 replicas are up', '1 of 3 replicas is down')
    """
    if count == 0:
        return f"all {replicas} replicas are up" if replicas > 1 else "the one replica is up"
    return f"{count} of {replicas} replicas {'is' if count == 1 else 'are'} down"
