// Which subnets and network interfaces a security group or a route table applies to: associated and dissociated here.

import { LinkDismiss20Regular } from "@fluentui/react-icons";
import { useMemo, useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { nameOf, parseId, sameId } from "../arm/ids";
import { required } from "../forms/checks";
import { DropdownField, type Choice } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import type { GridColumn } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { CommandButton } from "../shell/Blade";
import { choicesOf } from "./choices";
import { change, objects, refId, saving } from "./change";
import { NETWORK } from "./peerings";
import { property, ResourceLink, Sublist } from "./Sublist";

/** The member of a subnet or interface that names what applies to it. */
type Member = "networkSecurityGroup" | "routeTable";

const NIC = "Microsoft.Network/networkInterfaces";
const SUBNET = `${NETWORK}/subnets`;

/** Networks and interfaces of the same region and subscription: nothing else can be associated. */
function useRegion(type: string, { id, resource }: ResourceProps): { all: Resource[]; found: ReturnType<typeof useList<Resource>> } {
  const found = useList<Resource>(`/subscriptions/${id.subscription}/providers/${type}`);
  const all = useMemo(() => (found.data ?? []).filter((one) => one.location === resource.location), [found.data, resource.location]);
  return { all, found };
}

function Associate(props: { title: string; labels: readonly string[]; choices: (first: string) => readonly (readonly Resource[])[]; onPick: (id: string) => Promise<unknown>; onClose: () => void }): ReactNode {
  const { title, labels, choices, onPick, onClose } = props;
  const form = useForm({ first: "", second: "" }, (entered) => ({ first: required(entered.first), second: labels.length > 1 ? required(entered.second) : undefined }));
  const { values } = form;
  const lists = choices(values.first);
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    await onPick(labels.length > 1 ? values.second : values.first);
    form.release();
  };
  const options = (n: number): Choice[] => choicesOf(lists[n] ?? []);
  return (
    <SidePanel open title={title} action="OK" onSubmit={submit} onClose={onClose}>
      <DropdownField label={labels[0]!} required value={values.first || undefined} choices={options(0)} onChange={(value) => form.change({ first: value, second: "" })} error={form.error("first")} />
      {labels.length > 1 && <DropdownField label={labels[1]!} required value={values.second || undefined} choices={options(1)} onChange={(value) => form.set("second", value)} error={form.error("second")} />}
    </SidePanel>
  );
}

const SUBNET_COLUMNS: readonly GridColumn<Resource>[] = [
  { key: "name", title: "Name", width: 2, text: (row) => row.name },
  { key: "range", title: "Address range", width: 1.5, text: (row) => prefixOf(row) },
  { key: "network", title: "Virtual network", width: 2, text: (row) => nameOf(parseId(row.id)?.parent ?? ""), cell: (row) => <ResourceLink id={parseId(row.id)?.parent} /> },
];

function prefixOf(subnet: Resource): string {
  return property(subnet, "addressPrefix") || ((subnet.properties?.addressPrefixes as string[] | undefined) ?? []).join(", ");
}

function Subnets(props: ResourceProps & { member: Member; entry: string }): ReactNode {
  const { id, resource, reload, member, entry } = props;
  const can = useCan(id.text);
  const writable = can(`${SUBNET}/write`) && can(`${id.type}/join/action`);
  const { all, found } = useRegion(NETWORK, props);
  const [adding, setAdding] = useState(false);
  const subnets = useMemo(() => all.flatMap((network) => objects(network.properties, "subnets") as unknown as Resource[]), [all]);
  const rows = subnets.filter((subnet) => sameId(refId(subnet.properties?.[member]), id.text));
  const set = (subnet: string, to: string | undefined): Promise<unknown> =>
    saving("subnet", { id: resource.id, name: nameOf(subnet) }, entry, () =>
      change(subnet, (properties) => {
        if (to === undefined) delete properties[member];
        else properties[member] = { id: to };
      }),
    );
  return (
    <>
      <Sublist
        label="Subnets"
        found={{ ...found, data: found.data && rows, reload: () => (found.reload(), reload()) }}
        type={SUBNET}
        columns={SUBNET_COLUMNS}
        add="Associate"
        onAdd={writable ? () => setAdding(true) : undefined}
        {...(writable ? { commands: dissociate((row) => set(row.id, undefined)) } : {})}
        empty="No subnets are associated"
      />
      {adding && (
        <Associate
          title="Associate subnet"
          labels={["Virtual network", "Subnet"]}
          choices={(first) => [all, subnets.filter((subnet) => sameId(parseId(subnet.id)?.parent, first))]}
          onPick={(subnet) => set(subnet, id.text)}
          onClose={() => setAdding(false)}
        />
      )}
    </>
  );
}

function dissociate(away: (row: Resource) => Promise<unknown>): (chosen: readonly Resource[]) => ReactNode {
  return (chosen) => (
    <CommandButton
      icon={<LinkDismiss20Regular />}
      disabled={chosen.length === 0}
      onClick={() => {
        for (const row of chosen) void away(row).catch(() => undefined);
      }}
    >
      Dissociate
    </CommandButton>
  );
}

export function GroupSubnets(props: ResourceProps): ReactNode {
  return <Subnets {...props} member="networkSecurityGroup" entry="subnets" />;
}

export function TableSubnets(props: ResourceProps): ReactNode {
  return <Subnets {...props} member="routeTable" entry="subnets" />;
}

const NIC_COLUMNS: readonly GridColumn<Resource>[] = [
  { key: "name", title: "Name", width: 2, text: (row) => row.name },
  { key: "private", title: "Private IP address", width: 1.5, text: (row) => privateAddresses(row) },
  { key: "machine", title: "Virtual machine", width: 1.5, text: (row) => nameOf(property(row, "virtualMachine.id")), cell: (row) => <ResourceLink id={property(row, "virtualMachine.id")} /> },
];

export function privateAddresses(nic: Resource): string {
  const found = objects(nic.properties, "ipConfigurations").map((one) => property(one as unknown as Resource, "privateIPAddress"));
  return found.filter((address) => address !== "").join(", ") || "-";
}

export function GroupInterfaces(props: ResourceProps): ReactNode {
  const { id, resource } = props;
  const can = useCan(id.text);
  const writable = can(`${NIC}/write`) && can(`${id.type}/join/action`);
  const { all, found } = useRegion(NIC, props);
  const [adding, setAdding] = useState(false);
  const rows = all.filter((nic) => sameId(refId(nic.properties?.networkSecurityGroup), id.text));
  const set = (nic: string, to: string | undefined): Promise<unknown> =>
    saving("network interface", { id: resource.id, name: nameOf(nic) }, "networkInterfaces", () =>
      change(nic, (properties) => {
        if (to === undefined) delete properties.networkSecurityGroup;
        else properties.networkSecurityGroup = { id: to };
      }),
    );
  return (
    <>
      <Sublist
        label="Network interfaces"
        found={{ ...found, data: found.data && rows }}
        type={NIC}
        columns={NIC_COLUMNS}
        add="Associate"
        onAdd={writable ? () => setAdding(true) : undefined}
        {...(writable ? { commands: dissociate((row) => set(row.id, undefined)) } : {})}
        empty="No network interfaces are associated"
      />
      {adding && (
        <Associate title="Associate network interface" labels={["Network interface"]} choices={() => [all]} onPick={(nic) => set(nic, id.text)} onClose={() => setAdding(false)} />
      )}
    </>
  );
}
