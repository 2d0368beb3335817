// "Add a subnet" and "Edit subnet" of a network that is still to be made.

import { useState, type ReactNode } from "react";

import type { Resource } from "../../arm/client";
import { span } from "../../arm/nets";
import { CheckboxField, DropdownField, Fixed, Section, TextField } from "../../forms/fields";
import { SidePanel } from "../../forms/SidePanel";
import { Name } from "../../shell/text";
import { freeSubnet, lengthsFor, NAMES, netOf, prefixOf, sizeText, subnetNameError, subnetRangeError, type Purpose, type Space, type Subnet } from "./plan";

export interface Editing {
  readonly space: number;
  readonly subnet: Subnet;
  /** Its place in the space; undefined for a new one. */
  readonly at?: number;
}

export function SubnetPanel(props: {
  editing: Editing;
  spaces: readonly Space[];
  securityGroups: readonly Resource[];
  routeTables: readonly Resource[];
  onSave: (space: number, subnet: Subnet) => void;
  onClose: () => void;
}): ReactNode {
  const { editing, spaces, securityGroups, routeTables, onSave, onClose } = props;
  const [at, setAt] = useState(editing.space);
  const [subnet, setSubnet] = useState(editing.subnet);
  const [tried, setTried] = useState(editing.at !== undefined);
  const before = editing.at === undefined ? undefined : spaces[editing.space]?.subnets[editing.at];
  const others = spaces.flatMap((found) => found.subnets).filter((other) => other !== before);
  const space = spaces[at] ?? spaces[0]!;
  const set = (change: Partial<Subnet>): void => setSubnet((old) => ({ ...old, ...change }));
  const nameWrong = subnetNameError(subnet, others);
  const rangeWrong = subnetRangeError(subnet, space, others);
  const net = netOf(subnet);
  const purpose = (chosen: Purpose): void => {
    const length = chosen === "Azure Bastion" ? Math.min(subnet.length, 26) : subnet.length;
    const room = netOf({ ...subnet, length }) === undefined ? freeSubnet(space, length, chosen) : undefined;
    set({ purpose: chosen, name: NAMES[chosen] ?? (NAMES[subnet.purpose] === undefined ? subnet.name : ""), length, ...(room === undefined ? {} : { start: room.start }) });
  };
  const move = (chosen: number): void => {
    setAt(chosen);
    const free = freeSubnet(spaces[chosen]!, subnet.length, subnet.purpose);
    if (free !== undefined) set({ start: free.start, length: free.length });
  };
  const save = (): Promise<void> => {
    setTried(true);
    const wrong = nameWrong ?? rangeWrong;
    if (wrong !== undefined) return Promise.reject(new Error(wrong));
    onSave(at, subnet);
    return Promise.resolve();
  };
  const picked = (found: readonly Resource[]): { value: string; text: string }[] => [{ value: "", text: "None" }, ...found.map((one) => ({ value: one.id, text: one.name }))];
  return (
    <SidePanel open title={editing.at === undefined ? "Add a subnet" : "Edit subnet"} action={editing.at === undefined ? "Add" : "Save"} onSubmit={save} onClose={onClose}>
      <p className="lead">A subnet is a range of one of the network's address spaces. Some services need one of their own: choose its purpose, and it gets the name and size that they ask for.</p>
      <DropdownField
        label="Subnet purpose"
        value={subnet.purpose}
        choices={(["Default", "Azure Bastion", "Virtual Network Gateway"] as const).map((value) => ({ value, text: value }))}
        onChange={(value) => purpose(value as Purpose)}
      />
      <TextField label="Name" required value={subnet.name} disabled={NAMES[subnet.purpose] !== undefined} onChange={(name) => set({ name })} onBlur={() => setTried(true)} error={tried ? nameWrong : undefined} />
      <Section title="IPv4">
        <DropdownField label="IPv4 address range" required value={String(at)} choices={spaces.map((found, n) => ({ value: String(n), text: prefixOf(found) }))} onChange={(value) => move(Number(value))} />
        <TextField label="Starting address" required value={subnet.start} onChange={(start) => set({ start })} error={rangeWrong} />
        <DropdownField label="Size" required value={String(subnet.length)} choices={lengthsFor(space, subnet.purpose).map((length) => ({ value: String(length), text: sizeText(length) }))} onChange={(value) => set({ length: Number(value) })} />
        <Fixed label="Subnet address range">{net === undefined ? "-" : span(net)}</Fixed>
      </Section>
      <Section title="Private subnet">
        <CheckboxField
          label="Enable private subnet (no default outbound access)"
          checked={subnet.isPrivate}
          onChange={(isPrivate) => set({ isPrivate })}
          info="Machines of a private subnet reach the internet only through a public IP address, a NAT gateway or an appliance of their own."
        />
      </Section>
      <Section title="Security">
        <DropdownField label="Network security group" value={subnet.securityGroup ?? ""} choices={picked(securityGroups)} onChange={(value) => set({ securityGroup: value === "" ? undefined : value })} />
        <DropdownField label="Route table" value={subnet.routeTable ?? ""} choices={picked(routeTables)} disabled={subnet.purpose === "Azure Bastion"} onChange={(value) => set({ routeTable: value === "" ? undefined : value })} />
        {subnet.purpose === "Azure Bastion" && (
          <p>
            <Name>{subnet.name}</Name> takes no route table.
          </p>
        )}
      </Section>
    </SidePanel>
  );
}
