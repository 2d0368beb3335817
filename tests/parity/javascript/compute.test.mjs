// @azure/arm-compute: a machine, its power, what the network looks like from its NIC.

import assert from "node:assert/strict";
import { test } from "node:test";
import { all, compute, location, names, network, newGroup, newNetwork, refused } from "./cloud.mjs";

const imageReference = { publisher: "Canonical", offer: "ubuntu-24_04-lts", sku: "server", version: "latest" };

async function newMachine(group, name, subnet) {
  const nic = await network.networkInterfaces.createOrUpdate(group, `${name}-nic`, {
    location,
    ipConfigurations: [{ name: "c", subnet: { id: subnet.id } }],
  });
  return compute.virtualMachines.createOrUpdate(group, name, {
    location,
    hardwareProfile: { vmSize: "Standard_B1s" },
    storageProfile: { imageReference, osDisk: { createOption: "FromImage", deleteOption: "Delete" } },
    osProfile: { computerName: name, adminUsername: "azureuser", adminPassword: "Correct-Horse7Battery" },
    networkProfile: { networkInterfaces: [{ id: nic.id, deleteOption: "Delete" }] },
  });
}

test("a machine's life", async (t) => {
  const group = await newGroup(t);
  const machines = compute.virtualMachines;
  const vnet = await newNetwork(group, "v", "10.0.0.0/16", { s: "10.0.0.0/24" });
  const made = await newMachine(group, "m", vnet.subnets[0]);
  assert.deepEqual([made.name, made.provisioningState], ["m", "Succeeded"]);
  assert.equal(made.osProfile.adminPassword, undefined);
  const power = async () =>
    (await machines.instanceView(group, "m")).statuses.map((status) => status.code).find((code) => code.startsWith("Power"));
  assert.equal(await power(), "PowerState/running");
  for (const [change, wanted] of [
    ["powerOff", "stopped"],
    ["start", "running"],
    ["restart", "running"],
    ["deallocate", "deallocated"],
    ["start", "running"],
  ]) {
    await machines[change](group, "m");
    assert.equal(await power(), `PowerState/${wanted}`, change);
  }
  const tagged = await machines.update(group, "m", { tags: { team: "blue" } });
  assert.deepEqual(tagged.tags, { team: "blue" });
  const viewed = await machines.get(group, "m", { expand: "instanceView" });
  assert.equal(viewed.instanceView.statuses[0].code, "ProvisioningState/succeeded");
  assert.deepEqual(await names(machines.list(group)), ["m"]);
  const disks = await all(compute.disks.listByResourceGroup(group));
  assert.deepEqual(disks.map((disk) => disk.managedBy), [made.id]);
  await refused(network.networkInterfaces.delete(group, "m-nic"), 400, "NicInUse");
  await machines.delete(group, "m");
  assert.deepEqual(await names(compute.disks.listByResourceGroup(group)), []);
  assert.deepEqual(await names(network.networkInterfaces.list(group)), []);
});

test("the network as a NIC has it", async (t) => {
  const group = await newGroup(t);
  const guard = await network.networkSecurityGroups.createOrUpdate(group, "g", { location });
  const a = await newNetwork(group, "a", "10.0.0.0/16", { s: "10.0.0.0/24" });
  const b = await newNetwork(group, "b", "10.1.0.0/16", { s: "10.1.0.0/24" });
  await network.subnets.createOrUpdate(group, "a", "s", {
    addressPrefix: "10.0.0.0/24",
    networkSecurityGroup: { id: guard.id },
  });
  for (const [one, other] of [[a, b], [b, a]])
    await network.virtualNetworkPeerings.createOrUpdate(group, one.name, "p", {
      remoteVirtualNetwork: { id: other.id },
      allowVirtualNetworkAccess: true,
    });
  const [machine] = await Promise.all([newMachine(group, "m", a.subnets[0]), newMachine(group, "n", b.subnets[0])]);
  const table = await network.networkInterfaces.getEffectiveRouteTable(group, "m-nic");
  const hops = Object.fromEntries(table.value.map((route) => [route.addressPrefix[0], route.nextHopType]));
  assert.equal(hops["10.0.0.0/16"], "VnetLocal");
  assert.equal(hops["10.1.0.0/16"], "VNetPeering");
  const old = await network.networkInterfaces.beginGetEffectiveRouteTableAndWait(group, "m-nic");
  assert.equal(old.value.length, table.value.length);
  const guards = await network.networkInterfaces.listEffectiveNetworkSecurityGroups(group, "m-nic");
  assert.equal(guards.value[0].networkSecurityGroup.id, guard.id);
  assert.ok(guards.value[0].effectiveSecurityRules.length >= 6);
  const watcher = ["NetworkWatcherRG", `NetworkWatcher_${location}`];
  const hop = await network.networkWatchers.getNextHop(...watcher, {
    targetResourceId: machine.id,
    sourceIPAddress: "10.0.0.4",
    destinationIPAddress: "10.1.0.4",
  });
  assert.equal(hop.nextHopType, "VNetPeering");
  const flow = await network.networkWatchers.verifyIPFlow(...watcher, {
    targetResourceId: machine.id,
    direction: "Inbound",
    protocol: "TCP",
    localIPAddress: "10.0.0.4",
    localPort: "22",
    remoteIPAddress: "10.1.0.4",
    remotePort: "1024",
  });
  assert.deepEqual([flow.access, flow.ruleName], ["Allow", "defaultSecurityRules/AllowVnetInBound"]);
});
