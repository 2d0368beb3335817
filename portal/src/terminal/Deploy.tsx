// A network without a Bastion host: what to do, and the form that deploys one with its subnet and public IP address.

import { Button } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import { put } from "../arm/client";
import { useCan } from "../arm/hooks";
import { groupId, parseId, resourceId } from "../arm/ids";
import { contains, formatNet, nextFree, overlap, parseNet, type Net } from "../arm/nets";
import { nameError } from "../forms/checks";
import { Fixed, Section, TextField } from "../forms/fields";
import { SidePanel } from "../forms/SidePanel";
import { wizardsOf } from "../pages/registry";
import { Empty } from "../shell/Blade";
import { notified } from "../shell/notifications";
import { createPath, resourcePath } from "../shell/router";
import { Link, Name } from "../shell/text";
import { BASTION_HOST, type Network } from "./machine";

const SUBNET = "AzureBastionSubnet";
const LENGTH = 26;
const PUBLIC_ADDRESS = "Microsoft.Network/publicIPAddresses";
const NEEDED = [`${BASTION_HOST}/write`, `${PUBLIC_ADDRESS}/write`, "Microsoft.Network/virtualNetworks/subnets/write"];

export function Deploy({ network, machine }: { network: Network; machine: string }): ReactNode {
  const [open, setOpen] = useState(false);
  const id = parseId(network.id)!;
  const can = useCan(network.id);
  const allowed = NEEDED.every(can);
  return (
    <div className="bastion-none">
      <Empty title="This virtual network has no Bastion">
        <p>
          To connect to <Name>{machine}</Name>, deploy a Bastion host to <Link to={resourcePath(network.id)}><Name>{network.name}</Name></Link>, or peer that network with one that has a Bastion host.
        </p>
        {!allowed && <p>You may not deploy one: ask somebody who may change the virtual network.</p>}
        {allowed && (
          <div className="buttons">
            <Button appearance="primary" onClick={() => setOpen(true)}>
              Deploy Bastion
            </Button>
            {wizardsOf(BASTION_HOST).length > 0 && <Link to={createPath(BASTION_HOST, { group: id.group ?? "", network: network.id })}>Configure manually</Link>}
          </div>
        )}
      </Empty>
      {open && <DeployPanel network={network} onClose={() => setOpen(false)} />}
    </div>
  );
}

function DeployPanel({ network, onClose }: { network: Network; onClose: () => void }): ReactNode {
  const present = network.properties.subnets?.find((subnet) => subnet.name.toLowerCase() === SUBNET.toLowerCase());
  const [name, setName] = useState(`${network.name}-bastion`);
  const [address, setAddress] = useState(`${network.name}-bastion-ip`);
  const [range, setRange] = useState(() => proposed(network));
  const errors = [nameError(BASTION_HOST, name), nameError(PUBLIC_ADDRESS, address), present === undefined ? rangeError(network, range) : undefined];
  const submit = (): Promise<void> => {
    void deploy(network, name, address, present === undefined ? range : undefined).catch(() => undefined);
    return Promise.resolve();
  };
  return (
    <SidePanel open title="Deploy Bastion" action="Deploy Bastion" onSubmit={submit} onClose={onClose} disabled={errors.some((error) => error !== undefined)}>
      <Section title="Bastion">
        <TextField label="Name" required value={name} onChange={setName} error={errors[0]} />
        <TextField label="Public IP address name" required value={address} onChange={setAddress} error={errors[1]} />
        {present === undefined ? (
          <TextField label="AzureBastionSubnet address range" required value={range} onChange={setRange} error={errors[2]} />
        ) : (
          <Fixed label="Subnet">
            <Name>{present.name}</Name>
          </Fixed>
        )}
      </Section>
    </SidePanel>
  );
}

/** The subnet, the address, the host: each waits for the one before. */
function deploy(network: Network, name: string, address: string, range: string | undefined): Promise<void> {
  const id = parseId(network.id)!;
  const scope = groupId(id.subscription, id.group!);
  const subnet = `${network.id}/subnets/${SUBNET}`;
  const publicAddress = resourceId(scope, PUBLIC_ADDRESS, address);
  const host = resourceId(scope, BASTION_HOST, name);
  const configuration = { name: "IpConf", properties: { subnet: { id: subnet }, publicIPAddress: { id: publicAddress } } };
  const words = { title: "Deploying Bastion", done: "Deployed Bastion", failed: "Failed to deploy Bastion", about: name, to: resourcePath(host) };
  return notified(words, async () => {
    if (range !== undefined) await put(subnet, { properties: { addressPrefix: range } });
    await put(publicAddress, { location: network.location, sku: { name: "Standard" }, properties: { publicIPAllocationMethod: "Static" } });
    await put(host, { location: network.location, sku: { name: "Basic" }, properties: { ipConfigurations: [configuration] } });
  });
}

function taken(network: Network): Net[] {
  return (network.properties.subnets ?? []).flatMap(({ properties }) => [properties.addressPrefix ?? [], ...(properties.addressPrefixes ?? [])].flat()).flatMap((text) => parseNet(text) ?? []);
}

function spaces(network: Network): Net[] {
  return (network.properties.addressSpace?.addressPrefixes ?? []).flatMap((text) => parseNet(text) ?? []);
}

/** The first range of a Bastion subnet's size that is free; empty where the network is full. */
function proposed(network: Network): string {
  for (const space of spaces(network)) {
    const found = nextFree(space, LENGTH, taken(network));
    if (found !== undefined) return formatNet(found);
  }
  return "";
}

function rangeError(network: Network, text: string): string | undefined {
  const range = parseNet(text);
  if (range === undefined) return "Enter an IPv4 range, such as 10.0.1.0/26. The virtual network may need more address space.";
  if (range.length > LENGTH) return `The subnet must be at least /${LENGTH}.`;
  if (!spaces(network).some((space) => contains(space, range))) return "The range is not within the virtual network's address space.";
  return taken(network).some((other) => overlap(other, range)) ? "The range overlaps another subnet's." : undefined;
}
