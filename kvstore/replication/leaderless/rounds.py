"""Rounds: how a replica knows that what it hears is not older than a tombstone that is gone.

A tombstone may be removed when no replica has anything older and nothing older is on its way. Replicas vote on that in
numbered rounds, which one of them, the *collector*, proposes. (That is yet to come: here are its rules. A state keeps
the numbers and can remove a record, see `node/quorum_log.py`; but nobody votes so far, and every tombstone stays.) Each
replica keeps two numbers on its disk: in which round it `voted` last, and which it `collected` last, that is, carried
out. Three rules make old values harmless:

* A replica votes at most once in a round of a number, and in none below one it has voted in.
* Records say the round that their sender had voted in, on its disk, when it read them (`tag`). If that round was ever
  carried out, its sender had voted for it, so had the tombstone, and what it read since is no older.
* Who has carried out a round drops records with a smaller one, and tells the sender, which votes in no round up to
  that any more, and so may call what it reads from then on as new as that. Who has not carried it out has
  the tombstone, which wins.

Why on its disk: a vote that a crash takes back is cast again in the next life, when the replica may know more. What it
sent in between, with the number of the vote that never was, would pass as being as new as that.

A replica that lost its disk has forgotten its votes, and they may still count: somebody carries out what it voted for
when it had the tombstone, after it was told by another one, that votes a moment later, what that tombstone had
replaced. Before it takes records from anybody it therefore learns a *floor* from the collector, who proposed all that
it can have voted for (the collector itself from any other, who has voted in all that was decided), and drops what is
below. The same holds for a record whose row was found damaged: it is learned again only from answers that are not older
than our own last vote.
"""

from kvstore.core.ids import Index


class Rounds:
    """The numbers of one replica. Whoever changes them logs them with the same step (`changed`)."""

    def __init__(self, voted: int, collected: int, *, needs_floor: bool) -> None:
        self.voted, self.collected = voted, collected
        self.tag = voted
        """The last vote that is on our disk: what is read from the table now is as new as that."""
        self.needs_floor = needs_floor
        """Our disk was lost, and we do not know yet what we may have voted for. (Where nobody votes, we need not.)"""
        self.changed = False
        self._unpersisted: list[tuple[Index, int]] = []

    def takes(self, tag: int) -> bool:
        """Whether records with this tag cannot be older than a tombstone that we have removed."""
        return tag >= self.collected and not self.needs_floor

    def vote(self, number: int) -> bool:
        """Vote in that round, or skip it. False if it is too late for that, and nothing changed."""
        if number <= self.voted:
            return False
        self.voted, self.changed = number, True
        return True

    def carry_out(self, number: int) -> None:
        """From now on, drop what is older than that."""
        self.vote(number)
        if number > self.collected:
            self.collected, self.changed = number, True

    def learn_floor(self, number: int) -> None:
        """We may have voted up to there, before our disk was lost."""
        self.carry_out(number)
        self.needs_floor = False

    def logged(self, index: Index) -> None:
        """The numbers are in that entry of our log."""
        self.changed = False
        self._unpersisted.append((index, self.voted))

    def on_persisted(self, index: Index) -> None:
        """Our log is on disk up to there."""
        while self._unpersisted and self._unpersisted[0][0] <= index:
            self.tag = self._unpersisted.pop(0)[1]
