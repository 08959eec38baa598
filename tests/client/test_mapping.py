"""A space as a dict."""

from collections.abc import Iterator, MutableMapping

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvstore.client import codecs
from kvstore.client.client import Client
from kvstore.core.errors import InvalidRequest, NotFound
from tests.client.fake_cluster import FakeCluster
from tests.client.fake_leaderless import LeaderlessCluster


@pytest.fixture(params=[FakeCluster, LeaderlessCluster])
def db(request: pytest.FixtureRequest) -> Iterator[Client]:
    cluster = request.param()
    with Client(cluster.url, timeout=60, link=cluster.link) as db:
        yield db


def test_it_is_a_mutable_mapping(db: Client) -> None:
    m = db.space("user:", codec=codecs.text).mapping()
    assert isinstance(m, MutableMapping)
    m["1"] = "Ada"
    m.update({"2": "Bob", b"3": "Cy"})
    assert m["1"] == "Ada" and "2" in m and "9" not in m and 7 not in m and "" not in m
    assert list(m) == [b"1", b"2", b"3"] and len(m) == 3
    assert dict(m.items()) == {b"1": "Ada", b"2": "Bob", b"3": "Cy"}
    del m["2"]
    assert m.pop("3") == "Cy" and m.get("3") is None
    assert m.setdefault("1", "x") == "Ada" and m.setdefault("4", "Dee") == "Dee"
    assert m.popitem() == (b"1", "Ada")
    db.put("other", b"")
    m.clear()
    assert len(m) == 0 and db.exists("other")
    assert repr(m).startswith("<SpaceMapping of <Space")


def test_missing_keys_are_key_errors(db: Client) -> None:
    m = db.mapping()
    for missing in (lambda: m["a"], lambda: m.pop("a"), lambda: m.__delitem__("a"), lambda: m.popitem()):
        with pytest.raises(KeyError):
            missing()
    with pytest.raises(NotFound) as caught:
        m["a"]
    assert caught.value.key == b"a" and caught.value.exit_code == 3
    with pytest.raises(InvalidRequest):
        m[7]  # type: ignore[index]


def test_null_is_a_value(db: Client) -> None:
    m = db.space(codec=codecs.json).mapping()
    m["a"] = None
    assert m["a"] is None and "a" in m and m.setdefault("a", 1) is None


def test_clearing_many(db: Client) -> None:
    db.put_many({f"{i}": b"" for i in range(2500)})
    db.mapping().clear()
    assert list(db.scan()) == []


class LikeADict(RuleBasedStateMachine):
    """Whatever is done to both, they stay equal."""

    def __init__(self) -> None:
        super().__init__()
        cluster = FakeCluster()
        self.db = Client(cluster.url, timeout=60, link=cluster.link)
        self.real, self.model = self.db.mapping(), dict[bytes, bytes]()

    keys = st.sampled_from([b"a", b"b", b"c"])

    @rule(key=keys, value=st.binary(max_size=3))
    def put(self, key: bytes, value: bytes) -> None:
        self.real[key] = self.model[key] = value

    @rule(key=keys)
    def pop(self, key: bytes) -> None:
        assert self.real.pop(key, b"none") == self.model.pop(key, b"none")

    @rule(key=keys, value=st.binary(max_size=3))
    def setdefault(self, key: bytes, value: bytes) -> None:
        assert self.real.setdefault(key, value) == self.model.setdefault(key, value)

    @invariant()
    def equal(self) -> None:
        assert dict(self.real) == self.model and list(self.real) == sorted(self.model)

    def teardown(self) -> None:
        self.db.close()


TestLikeADict = LikeADict.TestCase
TestLikeADict.settings = settings(max_examples=10, stateful_step_count=10, deadline=None)
