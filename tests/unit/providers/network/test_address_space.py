from hypothesis import given
from hypothesis import strategies as st

from azlan.base.nets import network, overlaps
from azlan.providers.network.address_space import first_overlap, prefixes_of

prefixes = st.builds(
    lambda value, length: str(network(f"{_dotted(value >> (32 - length) << (32 - length))}/{length}")),
    st.integers(0, 2**16 - 1).map(lambda low: 10 << 24 | low),
    st.integers(16, 32),
)


def _dotted(value: int) -> str:
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


@given(st.lists(prefixes, max_size=8))
def test_first_overlap_agrees_with_comparing_all(found: list[str]) -> None:
    naive = any(overlaps([one], [other]) for i, one in enumerate(found) for other in found[:i])
    assert (first_overlap((network(p), p) for p in found) is not None) == naive


def test_families_do_not_overlap() -> None:
    assert first_overlap([(network("::/0"), "six"), (network("0.0.0.0/0"), "four")]) is None


def test_a_wide_prefix_far_before_its_part_is_found() -> None:
    texts = ["10.0.0.0/8", "10.0.0.0/24", "10.255.0.0/24"]
    assert first_overlap((network(p), p) for p in (texts[0], texts[2])) == (texts[0], texts[2])


def test_either_member_names_the_prefixes() -> None:
    assert prefixes_of({"addressPrefix": "10.0.0.0/24"}) == ["10.0.0.0/24"]
    assert prefixes_of({"addressPrefix": "10.0.0.0/24", "addressPrefixes": []}) == ["10.0.0.0/24"]
    assert prefixes_of({"addressPrefixes": ["10.0.0.0/24", "10.0.1.0/24"]}) == ["10.0.0.0/24", "10.0.1.0/24"]
    assert prefixes_of({}) == []
