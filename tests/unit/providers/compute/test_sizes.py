"""VM sizes: the table, what a guest gets, the routes."""

from __future__ import annotations

from azlan.providers.compute.sizes import find_size, size_error, sizes
from unit.providers.azure import SUB, azure

COMPUTE = f"/subscriptions/{SUB}/providers/Microsoft.Compute"


def test_the_sizes_that_tutorials_and_clients_use() -> None:
    wanted = {
        "Standard_B1s": (1, 1024),
        "Standard_B2s": (2, 4096),
        "Standard_DS1_v2": (1, 3584),
        "Standard_D2s_v3": (2, 8192),
        "Standard_D2s_v5": (2, 8192),
        "Standard_D64s_v3": (64, 262144),
        "Standard_E4s_v5": (4, 32768),
        "Standard_F2s_v2": (2, 4096),
    }
    for name, numbers in wanted.items():
        size = find_size(name)
        assert size is not None, name
        assert (size.vcpus, size.memory_mib) == numbers


def test_names_are_unique_and_found_in_any_case() -> None:
    assert len({size.name.lower() for size in sizes()}) == len(sizes()) > 150
    found = find_size("STANDARD_b1S")
    assert found is not None
    assert found.name == "Standard_B1s"
    assert find_size("Standard_X") is None


def test_a_guest_gets_what_it_needs() -> None:
    assert {size.guest_memory_mib for size in sizes()} == {512, 1024}
    assert all(2 <= size.max_nics <= 8 for size in sizes())


def test_the_error_names_the_valid_sizes() -> None:
    error = size_error("Huge")
    assert error.target == "vmSize"
    assert error.message.startswith("The value Huge provided for the VM size is not valid.")
    assert "Standard_D2s_v5," in error.message


async def test_routes() -> None:
    async with azure() as cloud:
        listed = await cloud.ok("GET", f"{COMPUTE}/locations/eastus2/vmSizes")
        (small,) = [size for size in listed["value"] if size["name"] == "Standard_B1s"]
        assert (small["numberOfCores"], small["memoryInMB"], small["maxDataDiskCount"]) == (1, 1024, 2)
        skus = await cloud.ok("GET", f"{COMPUTE}/skus?$filter=location eq 'westus'&api-version=2021-07-01")
        assert {sku["locations"][0] for sku in skus["value"]} == {"westus"}
        assert len(skus["value"]) == len(sizes())
        everywhere = (await cloud.ok("GET", f"{COMPUTE}/skus"))["value"]
        assert {"eastus2", "westeurope"} <= set(everywhere[0]["locations"])
        assert (await cloud.ok("GET", f"{COMPUTE}/skus?$filter=location eq 'mars'"))["value"] == []
        capabilities = {entry["name"]: entry["value"] for entry in skus["value"][0]["capabilities"]}
        assert {"vCPUs", "MemoryGB", "PremiumIO", "HyperVGenerations"} <= set(capabilities)


async def test_usage_counts_the_vcpus_of_what_runs() -> None:
    async with azure() as cloud:
        await cloud.network()
        await cloud.vm("vm-1", hardwareProfile={"vmSize": "Standard_B2s"})

        async def used() -> dict[str, int]:
            listed = await cloud.ok("GET", f"{COMPUTE}/locations/eastus2/usages")
            return {entry["name"]["value"]: entry["currentValue"] for entry in listed["value"]}

        before = await used()
        assert (before["cores"], before["standardBSFamily"], before["virtualMachines"]) == (2, 2, 1)
        await cloud.call("POST", "Microsoft.Compute/virtualMachines/vm-1/deallocate")
        after = await used()
        assert (after["cores"], after["virtualMachines"]) == (0, 1)
