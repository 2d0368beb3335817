"""ARM's own pages, as az, the SDKs and the portal ask for them."""

from unit.arm.toys import SUB, cloud


async def test_tenants_and_subscriptions() -> None:
    async with cloud() as c:
        (tenant,) = (await c.ok("GET", "/tenants?api-version=2022-12-01"))["value"]
        assert tenant["tenantId"] == "11111111-1111-1111-1111-111111111111"
        assert tenant["id"] == f"/tenants/{tenant['tenantId']}"
        listed = await c.ok("GET", "/subscriptions?api-version=2022-12-01")
        one = await c.ok("GET", f"/subscriptions/{SUB.upper()}")
        assert listed == {"value": [one], "count": {"type": "Total", "value": 1}}
        assert (one["subscriptionId"], one["tenantId"], one["state"]) == (SUB, tenant["tenantId"], "Enabled")


async def test_another_subscription_is_not_found() -> None:
    async with cloud() as c:
        other = "99999999-2222-2222-2222-222222222222"
        status, code, error = await c.error("GET", f"/subscriptions/{other}/resourcegroups")
        assert (status, code, error["message"]) == (
            404,
            "SubscriptionNotFound",
            f"The subscription '{other}' could not be found.",
        )
        status, code, error = await c.error("GET", "/subscriptions/nonsense/resourcegroups")
        assert (status, code) == (400, "InvalidSubscriptionId")
        assert error["message"] == "The provided subscription identifier 'nonsense' is malformed or invalid."


async def test_locations() -> None:
    async with cloud() as c:
        found = {one["name"]: one for one in (await c.ok("GET", f"/subscriptions/{SUB}/locations"))["value"]}
        assert found["eastus2"]["id"] == f"/subscriptions/{SUB}/locations/eastus2"
        assert found["eastus2"]["displayName"] == "East US 2"
        assert found["eastus2"]["regionalDisplayName"] == "(US) East US 2"
        assert found["eastus2"]["metadata"]["pairedRegion"] == [
            {"name": "centralus", "id": f"/subscriptions/{SUB}/locations/centralus"}
        ]
        assert len(found["eastus2"]["availabilityZoneMappings"]) == 3
        assert "availabilityZoneMappings" not in found["westus"]


async def test_providers_come_from_the_registry() -> None:
    async with cloud() as c:
        listed = await c.ok("GET", f"/subscriptions/{SUB}/providers")
        assert [found["namespace"] for found in listed["value"]] == [
            "Microsoft.Authorization",
            "Microsoft.Resources",
            "Toy.Net",
            "Toy.Run",
        ]
        toy = await c.ok("GET", f"/subscriptions/{SUB}/providers/TOY.net")
        assert toy in listed["value"]
        assert toy["registrationState"] == "Registered"
        types = {found["resourceType"]: found for found in toy["resourceTypes"]}
        assert types["boxes"]["apiVersions"] == ["2024-05-01", "2022-01-01"]
        assert "East US 2" in types["boxes"]["locations"]
        assert "SupportsTags" in types["boxes"]["capabilities"]
        assert types["boxes/slots"]["capabilities"] == "None"
        assert "locations/operations" in types
        assert await c.ok("POST", f"/subscriptions/{SUB}/providers/Toy.Net/register") == toy
        assert "id" not in (await c.ok("GET", "/providers/Toy.Net"))
        assert len((await c.ok("GET", "/providers"))["value"]) == 4
        assert (await c.error("GET", f"/subscriptions/{SUB}/providers/No.Such"))[1] == "InvalidResourceNamespace"
