// The tab "Networking" of a virtual machine: where its network interface is, its public address, its security group.

import { Link as TextLink } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import type { Resource } from "../../arm/client";
import { contains, formatNet, nextFree, parseNet } from "../../arm/nets";
import { nameError } from "../../forms/checks";
import { CheckboxField, DropdownField, Fixed, RadioField, Section, TextField } from "../../forms/fields";
import type { Form } from "../../forms/form";
import { SidePanel } from "../../forms/SidePanel";
import { visible } from "../../shell/text";
import { inGroup, names } from "../basics";
import { freeSpace } from "../network/plan";
import { fresh, PickField } from "../pick";
import { isFree, NETWORK, PUBLIC_IP, SECURITY_GROUP } from "../shapes";
import { PORTS } from "./choices";
import { InboundPorts } from "./InboundPorts";
import { networkOf, publicIpOf, subnetOf, subnetsOf, type NewNetwork, type Values } from "./values";

export interface Lists {
  readonly networks: readonly Resource[] | undefined;
  readonly publicIps: readonly Resource[] | undefined;
  readonly securityGroups: readonly Resource[] | undefined;
}

/** What a network made with the machine is, unless said otherwise. */
export function newNetworkOf(values: Values, networks: readonly Resource[] | undefined): NewNetwork {
  if (values.newNetwork !== undefined) return values.newNetwork;
  const space = freeSpace(networks ?? []);
  return { name: `${values.name === "" ? "vm" : values.name}-vnet`, prefix: formatNet(space), subnet: "default", subnetPrefix: formatNet(nextFree(space, 24, [])!) };
}

export function Networking({ form, lists }: { form: Form<Values>; lists: Lists }): ReactNode {
  const { values, set, change } = form;
  const { networks, publicIps, securityGroups } = lists;
  const [panel, setPanel] = useState<"network" | "group">();
  const here = (found: Resource): boolean => found.location === values.region;
  const network = networkOf(values, networks);
  const made = newNetworkOf(values, networks);
  const subnets = network.kind === "new" ? [{ name: made.subnet, prefix: made.subnetPrefix }] : subnetsOf(network, networks);
  const publicIp = publicIpOf(values);
  return (
    <>
      <p className="lead">Where the network interface card (NIC) of the virtual machine is, how it is reached, and which traffic its network security group allows.</p>
      <Section title="Network interface">
        <p className="note">The network interface is created with the virtual machine.</p>
        <PickField
          label="Virtual network"
          required
          type={NETWORK}
          group={values.group}
          value={network}
          existing={(networks ?? []).filter(here)}
          all={networks}
          onChange={(picked) => change({ network: picked, subnet: undefined })}
          error={form.errors.network}
          below={
            <TextLink as="button" type="button" onClick={() => setPanel("network")}>
              Create new<span className="hidden"> virtual network</span>
            </TextLink>
          }
        />
        <DropdownField
          label="Subnet"
          required
          value={subnetOf(values, subnets)?.name}
          choices={subnets.map((subnet) => ({ value: subnet.name, text: `${network.kind === "new" ? "(New) " : ""}${subnet.name} (${subnet.prefix})` }))}
          onChange={(value) => set("subnet", value)}
          error={form.errors.subnet}
        />
        <PickField
          label="Public IP"
          type={PUBLIC_IP}
          group={values.group}
          value={publicIp}
          existing={(publicIps ?? []).filter((found) => here(found) && isFree(found))}
          all={publicIps}
          none="None"
          onChange={(picked) => set("publicIp", picked)}
        />
        <RadioField
          label="NIC network security group"
          value={values.protection}
          choices={[
            { value: "none", text: "None" },
            { value: "basic", text: "Basic" },
            { value: "advanced", text: "Advanced" },
          ]}
          onChange={(value) => set("protection", value as Values["protection"])}
        />
        {values.protection === "basic" && <InboundPorts form={form} />}
        {values.protection === "advanced" && (
          <PickField
            label="Configure network security group"
            required
            type={SECURITY_GROUP}
            group={values.group}
            value={values.securityGroup}
            existing={(securityGroups ?? []).filter(here)}
            all={securityGroups}
            onChange={(picked) => set("securityGroup", picked)}
            error={form.error("securityGroup")}
            below={
              <TextLink as="button" type="button" onClick={() => setPanel("group")}>
                Create new<span className="hidden"> network security group</span>
              </TextLink>
            }
          />
        )}
        <CheckboxField
          label={publicIp.kind === "none" ? "Delete NIC when VM is deleted" : "Delete public IP and NIC when VM is deleted"}
          checked={values.deleteInterface}
          onChange={(checked) => set("deleteInterface", checked)}
        />
      </Section>
      <Section title="Load balancing">
        <Fixed label="Load balancing options">None</Fixed>
      </Section>
      {panel === "network" && <NetworkPanel initial={made} taken={names(inGroup(networks, values.group))} onClose={() => setPanel(undefined)} onSave={(saved) => change({ newNetwork: saved, network: fresh(saved.name), subnet: undefined })} />}
      {panel === "group" && <GroupPanel values={values} taken={names(inGroup(securityGroups, values.group))} onClose={() => setPanel(undefined)} onSave={(name) => set("securityGroup", fresh(name))} />}
    </>
  );
}

function NetworkPanel({ initial, taken, onSave, onClose }: { initial: NewNetwork; taken: readonly string[]; onSave: (saved: NewNetwork) => void; onClose: () => void }): ReactNode {
  const [network, setNetwork] = useState(initial);
  const [tried, setTried] = useState(false);
  const set = (changed: Partial<NewNetwork>): void => setNetwork((before) => ({ ...before, ...changed }));
  const outer = parseNet(network.prefix);
  const inner = parseNet(network.subnetPrefix);
  const wrong = {
    name: nameError(NETWORK, network.name, taken),
    prefix: outer === undefined ? "Enter an address range such as 10.0.0.0/16, beginning at its first address." : undefined,
    subnet: nameError(`${NETWORK}/subnets`, network.subnet),
    range: inner === undefined || inner.length > 29 ? "Enter an address range such as 10.0.0.0/24, /29 or larger." : outer !== undefined && !contains(outer, inner) ? "The subnet is not within the address range." : undefined,
  };
  const save = (): Promise<void> => {
    setTried(true);
    const found = wrong.name ?? wrong.prefix ?? wrong.subnet ?? wrong.range;
    if (found !== undefined) return Promise.reject(new Error(found));
    onSave(network);
    return Promise.resolve();
  };
  const error = (text: string | undefined): string | undefined => (tried ? text : undefined);
  return (
    <SidePanel open title="Create virtual network" action="OK" onSubmit={save} onClose={onClose}>
      <TextField label="Name" required value={network.name} onChange={(name) => set({ name })} error={error(wrong.name)} />
      <TextField label="Address range" required value={network.prefix} onChange={(prefix) => set({ prefix })} error={error(wrong.prefix)} />
      <TextField label="Subnet name" required value={network.subnet} onChange={(subnet) => set({ subnet })} error={error(wrong.subnet)} />
      <TextField label="Subnet address range" required value={network.subnetPrefix} onChange={(subnetPrefix) => set({ subnetPrefix })} error={error(wrong.range)} />
    </SidePanel>
  );
}

function GroupPanel({ values, taken, onSave, onClose }: { values: Values; taken: readonly string[]; onSave: (name: string) => void; onClose: () => void }): ReactNode {
  const [name, setName] = useState(values.securityGroup.kind === "new" ? values.securityGroup.name : `${values.name === "" ? "vm" : values.name}-nsg`);
  const [tried, setTried] = useState(false);
  const wrong = nameError(SECURITY_GROUP, name, taken);
  const save = (): Promise<void> => {
    setTried(true);
    if (wrong !== undefined) return Promise.reject(new Error(wrong));
    onSave(name);
    return Promise.resolve();
  };
  const rules = values.inbound === "selected" ? PORTS.filter((port) => values.ports.includes(port.value)) : [];
  return (
    <SidePanel open title="Create network security group" action="OK" onSubmit={save} onClose={onClose}>
      <TextField label="Name" required value={name} onChange={setName} error={tried ? wrong : undefined} />
      <Section title="Inbound rules">
        {rules.length === 0 ? (
          <p className="note">No rules of its own. By default, traffic from the virtual network is allowed and any other is denied.</p>
        ) : (
          <ul className="plain">
            {rules.map((port) => (
              <li key={port.rule}>
                {port.priority}: {port.rule} (any source, TCP port {visible(port.value)}, Allow)
              </li>
            ))}
          </ul>
        )}
      </Section>
      <Section title="Outbound rules">
        <p className="note">No rules of its own. By default, all traffic to the virtual network and to the internet is allowed.</p>
      </Section>
    </SidePanel>
  );
}
