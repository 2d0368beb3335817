from azlan.providers.network.peering import (
    CONNECTED,
    DISCONNECTED,
    INITIATED,
    TABLE,
    Event,
    SyncLevel,
    resource_guid,
    sync_level,
    transition,
)
from ledger import Ledger, half


def test_every_case_has_one_row() -> None:
    cases = [(row.event, row.mine, row.other) for row in TABLE]
    assert len(cases) == len(set(cases))
    assert all(row.source for row in TABLE)


def test_the_table_is_closed() -> None:
    """Every pair of halves that an event leaves behind, seen from either side, is a pair the table knows."""
    reachable = {(None, None)}
    while True:
        found = {
            pair
            for row in TABLE
            if (row.mine, row.other) in reachable and row.error is None
            for pair in ((row.mine_after, row.other_after), (row.other_after, row.mine_after))
        } | reachable
        if found == reachable:
            break
        reachable = found
    assert reachable == {
        (None, None),
        (INITIATED, None),
        (None, INITIATED),
        (CONNECTED, CONNECTED),
        (DISCONNECTED, None),
        (None, DISCONNECTED),
    }
    for mine, other in reachable:
        assert transition(Event.PUT, mine, other)
        if mine is not None:
            assert transition(Event.DELETE, mine, other)
            assert transition(Event.REMOTE_GONE, mine, other)


def test_connected_means_both() -> None:
    for row in TABLE:
        after = (row.mine_after, row.other_after)
        assert (CONNECTED in after) == (after == (CONNECTED, CONNECTED))


def test_recorded_resource_guid() -> None:
    one, other = "5445ba7f-2d41-4e8a-b237-abbbdbcb55f7", "665fb33d-c8a6-45e4-8919-1dd3a374a17a"
    assert resource_guid(one, other) == "321a0942-e5e7-0b6e-3b2e-b66878bff48d"
    assert resource_guid(other, one) == resource_guid(one, other)


def test_recorded_resource_guid_of_a_peering_of_subnets() -> None:
    networks = ("6740dd6e-5d67-4f71-9629-8cf0fdcb9f7d", "5b5efc73-628e-44eb-94c8-b9a0b6a76fcf")
    assert resource_guid(*networks, complete=False) == "3c1e2117-3fe9-0b9a-02e1-35504b6cf0b2"


def test_sync_levels() -> None:
    assert sync_level(knows_remote=True, known_there=True) == SyncLevel.FULL
    assert sync_level(knows_remote=True, known_there=False) == "RemoteNotInSync"
    assert sync_level(knows_remote=False, known_there=True) == "LocalNotInSync"
    assert sync_level(knows_remote=False, known_there=False) == "LocalAndRemoteNotInSync"


def test_a_peering_changes_two_rows_however_many_there_are() -> None:
    cloud = Ledger()
    for name, prefix in (("hub", "10.0.0.0/16"), ("x", "10.1.0.0/16"), ("y", "10.2.0.0/16")):
        cloud.vnet(name, prefix)
    cloud.peer("hub", "x")
    assert len(cloud.changed) == 1
    cloud.peer("x", "hub")
    assert {key.rsplit("/", 1)[1] for key in cloud.changed} == {"hub", "x"}
    cloud.peer("x", "hub", allowForwardedTraffic=True)
    assert {key.rsplit("/", 1)[1] for key in cloud.changed} == {"x"}
    cloud.delete(half("x", "hub"))
    assert {key.rsplit("/", 1)[1] for key in cloud.changed} == {"hub", "x"}
