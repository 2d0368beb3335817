// @azure/identity: each way to sign in that docs/clients/javascript.md names.
//
// The environment brings besides the variables of `azlan env`: BROWSER, which signs a user in on a page (tests/browser.py).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import {
  AzureCliCredential,
  ClientSecretCredential,
  DefaultAzureCredential,
  DeviceCodeCredential,
  EnvironmentCredential,
  InteractiveBrowserCredential,
} from "@azure/identity";
import { all, clients } from "./cloud.mjs";

const tenant = process.env.AZURE_TENANT_ID;
const client = process.env.AZURE_CLIENT_ID;
const options = { disableInstanceDiscovery: true };
const scope = `${process.env.AZLAN_ENDPOINT}/.default`;
const browser = (...words) => promisify(execFile)(process.env.BROWSER, words);

const payload = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

/** Whose tokens a credential gets, as ARM takes them. */
async function principal(credential) {
  assert.ok((await all(clients(credential).resources.resourceGroups.list())).every((group) => group.location));
  return payload((await credential.getToken(scope)).token);
}

for (const [name, make] of [
  ["DefaultAzureCredential", () => new DefaultAzureCredential(options)],
  ["EnvironmentCredential", () => new EnvironmentCredential(options)],
  ["ClientSecretCredential", () => new ClientSecretCredential(tenant, client, process.env.AZURE_CLIENT_SECRET, options)],
  [
    "ClientSecretCredential with its authority",
    () =>
      new ClientSecretCredential(tenant, client, process.env.AZURE_CLIENT_SECRET, {
        ...options,
        authorityHost: process.env.AZLAN_ENDPOINT,
      }),
  ],
  ["AzureCliCredential", () => new AzureCliCredential()],
])
  test(name, async () => {
    assert.equal((await principal(make())).appid, client);
  });

test("DeviceCodeCredential", async () => {
  const credential = new DeviceCodeCredential({
    ...options,
    tenantId: tenant,
    userPromptCallback: ({ verificationUri, userCode, message }) => {
      assert.match(message, new RegExp(userCode));
      browser(verificationUri, `otc=${userCode}`);
    },
  });
  const who = await principal(credential);
  assert.equal(who.upn, `${process.env.BROWSER_NAME}@azlan.localhost`);
  assert.deepEqual(payload((await credential.getToken(scope)).token), who);
});

test("InteractiveBrowserCredential", async () => {
  const who = await principal(new InteractiveBrowserCredential({ ...options, tenantId: tenant }));
  assert.equal(who.upn, `${process.env.BROWSER_NAME}@azlan.localhost`);
});

test("a wrong secret", async () => {
  const credential = new ClientSecretCredential(tenant, client, "wrong", options);
  await assert.rejects(credential.getToken(scope), (error) => {
    assert.equal(error.name, "AuthenticationRequiredError");
    assert.match(error.message, /AADSTS7000215/);
    return true;
  });
});
