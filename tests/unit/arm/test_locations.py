"""The regions are Azure's, and pair up."""

from azlan.arm.locations import BY_NAME, LOCATIONS


def test_regions_are_named_after_what_they_show() -> None:
    assert len(BY_NAME) == len(LOCATIONS) > 50
    for location in LOCATIONS:
        assert location.name == location.display.replace(" ", "").lower()
        assert -90 <= float(location.latitude) <= 90
        assert -180 <= float(location.longitude) <= 180


def test_pairs_are_regions_or_known_to_be_hidden() -> None:
    paired = {location.paired for location in LOCATIONS if location.paired}
    assert paired - set(BY_NAME) == {"swedensouth"}
