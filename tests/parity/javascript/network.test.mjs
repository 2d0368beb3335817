// @azure/arm-network and @azure/arm-resources: networks, lists, pollers, errors, ETags.

import assert from "node:assert/strict";
import { test } from "node:test";
import { restorePoller } from "@azure/arm-network";
import { restorePoller as restoreGroupPoller } from "@azure/arm-resources";
import { all, location, names, network, newGroup, newNetwork, refused, resources } from "./cloud.mjs";

test("networks, their subnets, tags and free addresses", async (t) => {
  const group = await newGroup(t);
  const made = await newNetwork(group, "v", "10.0.0.0/16", { a: "10.0.0.0/24" });
  assert.deepEqual([made.name, made.location, made.provisioningState], ["v", location, "Succeeded"]);
  const added = await network.subnets.createOrUpdate(group, "v", "b", { addressPrefix: "10.0.1.0/24" });
  assert.equal(added.addressPrefix, "10.0.1.0/24");
  assert.deepEqual(await names(network.subnets.list(group, "v")), ["a", "b"]);
  const tagged = await network.virtualNetworks.updateTags(group, "v", { tags: { team: "blue" } });
  assert.deepEqual(tagged.tags, { team: "blue" });
  const check = (address) => network.virtualNetworks.checkIPAddressAvailability(group, "v", address);
  assert.equal((await check("10.0.0.4")).available, true);
  await network.networkInterfaces.createOrUpdate(group, "n", {
    location,
    ipConfigurations: [{ name: "c", subnet: { id: made.subnets[0].id } }],
  });
  const [config] = await all(network.networkInterfaceIPConfigurations.list(group, "n"));
  assert.deepEqual([config.name, config.privateIPAddress], ["c", "10.0.0.4"]);
  const taken = await check("10.0.0.4");
  assert.equal(taken.available, false);
  assert.equal(taken.availableIPAddresses[0], "10.0.0.5");
  const [usage] = await all(network.virtualNetworks.listUsage(group, "v"));
  assert.deepEqual([usage.currentValue, usage.limit], [1, 251]);
  await network.subnets.delete(group, "v", "b");
  assert.deepEqual((await network.virtualNetworks.get(group, "v")).subnets.map((subnet) => subnet.name), ["a"]);
});

test("lists of one page and of several", async (t) => {
  const group = await newGroup(t);
  const other = await newGroup(t);
  await Promise.all(["c", "a", "b"].map((name) => newNetwork(group, name, "10.0.0.0/16")));
  assert.deepEqual((await names(network.virtualNetworks.list(group))).sort(), ["a", "b", "c"]);
  const everywhere = await all(network.virtualNetworks.listAll());
  assert.equal(everywhere.filter((found) => found.id.includes(`/${group}/`)).length, 3);
  const pages = await all(resources.resourceGroups.list({ top: 1 }).byPage());
  assert.ok(pages.length >= 2);
  assert.ok(pages.every((page) => page.length <= 1));
  const listed = pages.flat().map((found) => found.name);
  assert.ok(listed.includes(group) && listed.includes(other));
  const filter = "resourceType eq 'Microsoft.Network/virtualNetworks'";
  assert.equal((await all(resources.resources.listByResourceGroup(group, { filter }))).length, 3);
});

test("a poller is resumed from what another process wrote down", async (t) => {
  const group = await newGroup(t);
  const { virtualNetworks } = network;
  const body = { location, addressSpace: { addressPrefixes: ["10.0.0.0/16"] } };
  const state = await virtualNetworks.createOrUpdate(group, "v", body).serialize();
  assert.match(state, /"operationLocation":"https:[^"]+\/operations\//);
  const made = await restorePoller(network, state, virtualNetworks.createOrUpdate);
  assert.deepEqual([made.name, made.provisioningState], ["v", "Succeeded"]);
  assert.equal(made.etag, (await virtualNetworks.get(group, "v")).etag);
  const going = await virtualNetworks.delete(group, "v").serialize();
  await restorePoller(network, going, virtualNetworks.delete);
  assert.deepEqual(await names(virtualNetworks.list(group)), []);
});

test("the methods of before: begin… and begin…AndWait", async (t) => {
  const group = await newGroup(t);
  const body = { location, addressSpace: { addressPrefixes: ["10.0.0.0/16"] } };
  const made = await network.virtualNetworks.beginCreateOrUpdateAndWait(group, "v", body);
  assert.equal(made.provisioningState, "Succeeded");
  const poller = await network.virtualNetworks.beginDelete(group, "v");
  const seen = [];
  poller.onProgress((state) => seen.push(state.status));
  await poller.pollUntilDone();
  assert.equal(poller.getOperationState().status, "succeeded");
  assert.equal(seen.at(-1), "succeeded");
  assert.ok(poller.isDone());
});

test("a group goes with all that is in it", async () => {
  const group = "rg-javascript-goes";
  await resources.resourceGroups.createOrUpdate(group, { location, tags: { team: "blue" } });
  await newNetwork(group, "v", "10.0.0.0/16");
  const patched = await resources.resourceGroups.update(group, { tags: { team: "red" } });
  assert.deepEqual(patched.tags, { team: "red" });
  const state = await resources.resourceGroups.delete(group).serialize();
  await restoreGroupPoller(resources, state, resources.resourceGroups.delete);
  assert.equal((await resources.resourceGroups.checkExistence(group)).body, false);
  await refused(resources.resourceGroups.get(group), 404, "ResourceGroupNotFound");
});

test("both halves of a peering, and a change of what they peer", async (t) => {
  const group = await newGroup(t);
  const a = await newNetwork(group, "a", "10.0.0.0/16");
  const b = await newNetwork(group, "b", "10.1.0.0/16");
  const half = (one, other, options) =>
    network.virtualNetworkPeerings.createOrUpdate(
      group,
      one.name,
      "p",
      { remoteVirtualNetwork: { id: other.id }, allowVirtualNetworkAccess: true },
      options,
    );
  assert.equal((await half(a, b)).peeringState, "Initiated");
  assert.equal((await half(b, a)).peeringState, "Connected");
  const b2 = await network.virtualNetworks.get(group, "b");
  b2.addressSpace.addressPrefixes.push("10.2.0.0/16");
  await network.virtualNetworks.createOrUpdate(group, "b", b2);
  const stale = await network.virtualNetworkPeerings.get(group, "a", "p");
  assert.deepEqual([stale.peeringState, stale.peeringSyncLevel], ["Connected", "LocalNotInSync"]);
  assert.equal((await half(a, b, { syncRemoteAddressSpace: "true" })).peeringSyncLevel, "FullyInSync");
  await network.virtualNetworkPeerings.delete(group, "a", "p");
  const [left] = await all(network.virtualNetworkPeerings.list(group, "b"));
  assert.equal(left.peeringState, "Disconnected");
});

test("security rules and routes, with their parents and alone", async (t) => {
  const group = await newGroup(t);
  const rule = {
    priority: 100,
    direction: "Inbound",
    access: "Allow",
    protocol: "Tcp",
    sourceAddressPrefix: "Internet",
    sourcePortRange: "*",
    destinationAddressPrefix: "*",
    destinationPortRanges: ["22", "443"],
  };
  const guard = await network.networkSecurityGroups.createOrUpdate(group, "g", {
    location,
    securityRules: [{ name: "in", ...rule }],
  });
  assert.equal(guard.defaultSecurityRules.length, 6);
  assert.deepEqual(guard.securityRules[0].destinationPortRanges, ["22", "443"]);
  await network.securityRules.createOrUpdate(group, "g", "more", { ...rule, priority: 110, access: "Deny" });
  assert.deepEqual(await names(network.securityRules.list(group, "g")), ["in", "more"]);
  const clash = network.securityRules.createOrUpdate(group, "g", "clash", rule);
  await refused(clash, 400, "SecurityRuleConflict");
  await network.securityRules.delete(group, "g", "in");
  const routes = await network.routeTables.createOrUpdate(group, "r", {
    location,
    disableBgpRoutePropagation: true,
    routes: [{ name: "none", addressPrefix: "192.168.0.0/16", nextHopType: "None" }],
  });
  assert.equal(routes.disableBgpRoutePropagation, true);
  await network.routes.createOrUpdate(group, "r", "hop", {
    addressPrefix: "0.0.0.0/0",
    nextHopType: "VirtualAppliance",
    nextHopIpAddress: "10.0.0.4",
  });
  assert.deepEqual(await names(network.routes.list(group, "r")), ["none", "hop"]);
  await network.subnets.createOrUpdate(group, (await newNetwork(group, "v", "10.0.0.0/16")).name, "s", {
    addressPrefix: "10.0.0.0/24",
    networkSecurityGroup: { id: guard.id },
    routeTable: { id: routes.id },
  });
  const used = await network.networkSecurityGroups.get(group, "g", { expand: "subnets" });
  assert.match(used.subnets[0].id, /virtualNetworks\/v\/subnets\/s$/);
  await refused(network.networkSecurityGroups.delete(group, "g"), 400, "InUseNetworkSecurityGroupCannotBeDeleted");
});

test("errors are RestErrors with Azure's codes", async (t) => {
  const group = await newGroup(t);
  await refused(network.virtualNetworks.get(group, "gone"), 404, "ResourceNotFound");
  await refused(network.virtualNetworks.get("rg-gone", "v"), 404, "ResourceGroupNotFound");
  const outside = newNetwork(group, "v", "10.0.0.0/16", { far: "10.9.0.0/24" });
  await refused(outside, 400, "NetcfgSubnetRangeOutsideVnet");
  const nowhere = resources.resourceGroups.createOrUpdate("rg-x", { location: "tranquillity" });
  await refused(nowhere, 400, "LocationNotAvailableForResourceGroup");
});

test("ETags guard writes", async (t) => {
  const group = await newGroup(t);
  const first = await newNetwork(group, "v", "10.0.0.0/16");
  await newNetwork(group, "v", "10.0.0.0/15");
  const body = { location, addressSpace: { addressPrefixes: ["10.0.0.0/16"] } };
  const write = (etag) =>
    network.virtualNetworks.createOrUpdate(group, "v", body, { requestOptions: { headers: { "If-Match": etag } } });
  await refused(write(first.etag), 412, "PreconditionFailed");
  const now = await network.virtualNetworks.get(group, "v");
  assert.deepEqual((await write(now.etag)).addressSpace.addressPrefixes, ["10.0.0.0/16"]);
});

test("a public address and a Bastion host", async (t) => {
  const group = await newGroup(t);
  const vnet = await newNetwork(group, "v", "10.0.0.0/16", { AzureBastionSubnet: "10.0.1.0/26" });
  const address = await network.publicIPAddresses.createOrUpdate(group, "ip", {
    location,
    sku: { name: "Standard" },
    publicIPAllocationMethod: "Static",
  });
  assert.match(address.ipAddress, /^(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+$/);
  const bastion = await network.bastionHosts.createOrUpdate(group, "bastion", {
    location,
    sku: { name: "Standard" },
    enableTunneling: true,
    ipConfigurations: [{ name: "c", subnet: { id: vnet.subnets[0].id }, publicIPAddress: { id: address.id } }],
  });
  assert.deepEqual([bastion.provisioningState, bastion.enableTunneling], ["Succeeded", true]);
  assert.match(bastion.dnsName, /\/bst-/);
  assert.deepEqual(await names(network.bastionHosts.listByResourceGroup(group)), ["bastion"]);
  await refused(network.publicIPAddresses.delete(group, "ip"), 400, "PublicIPAddressCannotBeDeleted");
  await network.bastionHosts.delete(group, "bastion");
  await network.publicIPAddresses.delete(group, "ip");
});
