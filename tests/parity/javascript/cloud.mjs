// Clients as docs/clients/javascript.md sets them up, and a resource group for each test.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { ComputeManagementClient } from "@azure/arm-compute";
import { NetworkManagementClient } from "@azure/arm-network";
import { ResourceManagementClient } from "@azure/arm-resources";
import { DefaultAzureCredential } from "@azure/identity";

export const location = "eastus2";
const endpoint = process.env.AZLAN_ENDPOINT;
export const subscription = process.env.AZURE_SUBSCRIPTION_ID;

export function clients(credential) {
  const options = { endpoint, credentials: { scopes: [`${endpoint}/.default`] } };
  return {
    resources: new ResourceManagementClient(credential, subscription, options),
    network: new NetworkManagementClient(credential, subscription, options),
    compute: new ComputeManagementClient(credential, subscription, options),
  };
}

export const { resources, network, compute } = clients(
  new DefaultAzureCredential({ disableInstanceDiscovery: true }),
);

/** The name of a new group, which is deleted after the test `t`. */
export async function newGroup(t) {
  const name = `rg-${randomBytes(3).toString("hex")}`;
  await resources.resourceGroups.createOrUpdate(name, { location });
  t.after(() => resources.resourceGroups.delete(name));
  return name;
}

export const newNetwork = (group, name, prefix, subnets = {}) =>
  network.virtualNetworks.createOrUpdate(group, name, {
    location,
    addressSpace: { addressPrefixes: [prefix] },
    subnets: Object.entries(subnets).map(([part, addressPrefix]) => ({ name: part, addressPrefix })),
  });

export async function all(pages) {
  const found = [];
  for await (const item of pages) found.push(item);
  return found;
}

export const names = async (pages) => (await all(pages)).map((item) => item.name);

/** A promise must be refused as the SDK refuses: by a RestError of this status and code. */
export const refused = (promise, statusCode, code) =>
  assert.rejects(async () => await promise, (error) => {
    assert.deepEqual([error.name, error.statusCode, error.code], ["RestError", statusCode, code], error.message);
    return true;
  });
