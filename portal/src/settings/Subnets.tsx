// Subnets of a virtual network, and the form of one: its range, its security group and route table.

import { useMemo, useState, type ReactNode } from "react";

import { put, type Json, type Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { nameOf, sameId } from "../arm/ids";
import { addresses, contains, count, formatAddress, formatNet, nextFree, overlap, parseAddress, parseNet, prefixError, type Net } from "../arm/nets";
import { nameError } from "../forms/checks";
import { CheckboxField, DropdownField, Fixed, Section, TextField, type Choice } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import type { GridColumn } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { Name, visible } from "../shell/text";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { choicesOf, NONE } from "./choices";
import { change, object, objects, refId } from "./change";
import { NETWORK } from "./peerings";
import { property, ResourceLink, Sublist } from "./Sublist";

export const SUBNET = `${NETWORK}/subnets`;
const BASTION_SUBNET = "AzureBastionSubnet";

function prefixesOf(subnet: Resource): string[] {
  const one = property(subnet, "addressPrefix");
  return one !== "" ? [one] : ((subnet.properties?.addressPrefixes as string[] | undefined) ?? []);
}

/** Azure keeps five addresses of every range for itself. */
function available(subnet: Resource): string {
  const size = prefixesOf(subnet).reduce((sum, prefix) => sum + Math.max(count(parseNet(prefix)?.length ?? 32) - 5, 0), 0);
  return String(Math.max(size - objects(subnet.properties, "ipConfigurations").length, 0));
}

const COLUMNS: readonly GridColumn<Resource>[] = [
  { key: "name", title: "Name", width: 2, text: (row) => row.name },
  { key: "ipv4", title: "IPv4", width: 1.4, text: (row) => prefixesOf(row).join(", ") },
  { key: "free", title: "Available IPs", width: 1, text: available },
  { key: "delegated", title: "Delegated to", width: 1.2, text: (row) => objects(row.properties, "delegations").map((one) => String(object(one.properties).serviceName ?? "")).join(", ") || "-" },
  { key: "group", title: "Security group", width: 1.4, text: (row) => nameOf(refId(row.properties?.networkSecurityGroup) ?? ""), cell: (row) => <ResourceLink id={refId(row.properties?.networkSecurityGroup)} /> },
  { key: "table", title: "Route table", width: 1.4, text: (row) => nameOf(refId(row.properties?.routeTable) ?? ""), cell: (row) => <ResourceLink id={refId(row.properties?.routeTable)} /> },
];

export default function Subnets({ id, resource }: ResourceProps): ReactNode {
  const found = useList<Resource>(`${id.text}/subnets`);
  const can = useCan(id.text);
  const writable = can(`${SUBNET}/write`);
  const [edited, setEdited] = useState<Resource | "new">();
  return (
    <>
      <Sublist
        label="Subnets"
        found={found}
        type={SUBNET}
        columns={COLUMNS}
        add="Subnet"
        onAdd={writable ? () => setEdited("new") : undefined}
        onOpen={writable ? setEdited : undefined}
        deletable={can(`${SUBNET}/delete`)}
        empty="No subnets to display"
      />
      {edited !== undefined && <SubnetPanel network={resource} subnets={found.data ?? []} subnet={edited === "new" ? undefined : edited} onClose={() => setEdited(undefined)} />}
    </>
  );
}

interface Values {
  purpose: string;
  name: string;
  space: string;
  start: string;
  size: string;
  closed: boolean;
  group: string;
  table: string;
}

function useChoices(network: Resource, type: string): Choice[] {
  const found = useList<Resource>(`/subscriptions/${network.id.split("/")[2]}/providers/${type}`);
  return useMemo(
    () => [{ value: NONE, text: "None" }, ...choicesOf((found.data ?? []).filter((one) => one.location === network.location))],
    [found.data, network.location],
  );
}

/** What is wrong with a range within the network, beside the others. */
function rangeError(values: Values, spaces: readonly Net[], others: readonly Resource[]): string | undefined {
  const wrong = prefixError(values.start, Number(values.size));
  if (wrong) return wrong;
  const net: Net = { first: parseAddress(values.start)!, length: Number(values.size) };
  if (!spaces.some((space) => contains(space, net))) return `The range ${formatNet(net)} is not within the address space of the virtual network.`;
  const clash = others.find((other) => prefixesOf(other).some((prefix) => overlap(parseNet(prefix) ?? { first: -1, length: 32 }, net)));
  return clash === undefined ? undefined : `The range ${formatNet(net)} overlaps with subnet '${clash.name}'.`;
}

function SubnetPanel(props: { network: Resource; subnets: readonly Resource[]; subnet: Resource | undefined; onClose: () => void }): ReactNode {
  const { network, subnets, subnet, onClose } = props;
  const spaces = ((object(network.properties?.addressSpace).addressPrefixes as string[] | undefined) ?? []).flatMap((prefix) => parseNet(prefix) ?? []);
  const others = subnets.filter((other) => !sameId(other.id, subnet?.id));
  const taken = others.flatMap(prefixesOf).flatMap((prefix) => parseNet(prefix) ?? []);
  const free = (length: number): Net | undefined => spaces.map((space) => nextFree(space, length, taken)).find((net) => net !== undefined);
  const form = useForm<Values>(
    () => {
      const net = subnet === undefined ? (free(24) ?? free(26) ?? free(28)) : parseNet(prefixesOf(subnet)[0] ?? "");
      const space = spaces.find((one) => net !== undefined && contains(one, net)) ?? spaces[0];
      return {
        purpose: subnet?.name === BASTION_SUBNET ? "bastion" : "default",
        name: subnet?.name ?? "",
        space: space === undefined ? "" : formatNet(space),
        start: net === undefined ? "" : formatAddress(net.first),
        size: String(net?.length ?? 24),
        closed: subnet?.properties?.defaultOutboundAccess === false,
        group: refId(subnet?.properties?.networkSecurityGroup)?.toLowerCase() ?? NONE,
        table: refId(subnet?.properties?.routeTable)?.toLowerCase() ?? NONE,
      };
    },
    (entered) => ({
      name: nameError(SUBNET, entered.name, others.map((other) => other.name)),
      start: rangeError(entered, spaces, others),
    }),
  );
  const { values } = form;
  const groups = useChoices(network, "Microsoft.Network/networkSecurityGroups");
  const tables = useChoices(network, "Microsoft.Network/routeTables");
  const purpose = (chosen: string): void => {
    if (chosen === "default") form.change({ purpose: chosen, name: values.name === BASTION_SUBNET ? "" : values.name });
    else {
      const net = free(26);
      form.change({ purpose: chosen, name: BASTION_SUBNET, size: "26", ...(net === undefined ? {} : { start: formatAddress(net.first) }) });
    }
  };
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    const prefix = `${values.start.trim()}/${values.size}`;
    const fill = (properties: Json): void => {
      if (prefixesOf({ properties } as Resource)[0] !== prefix) {
        delete properties.addressPrefixes;
        properties.addressPrefix = prefix;
      }
      if (values.closed || subnet !== undefined) properties.defaultOutboundAccess = !values.closed;
      for (const [member, chosen] of [["networkSecurityGroup", values.group], ["routeTable", values.table]] as const) {
        if (chosen === NONE) delete properties[member];
        else properties[member] = { id: chosen };
      }
    };
    const verb = subnet === undefined ? "add" : "save";
    const words = { title: subnet ? "Saving subnet" : "Adding subnet", done: subnet ? "Saved subnet" : "Added subnet", failed: `Failed to ${verb} subnet`, about: values.name, to: resourcePath(network.id, "subnets") };
    await notified(words, () => {
      if (subnet !== undefined) return change(subnet.id, fill);
      const properties: Json = {};
      fill(properties);
      return put(`${network.id}/subnets/${values.name}`, { properties });
    });
    form.release();
  };
  const sizes = Array.from({ length: 29 - 2 + 1 }, (_, n) => 2 + n)
    .filter((length) => spaces.some((space) => length >= space.length))
    .map((length) => ({ value: String(length), text: `/${length} (${addresses(length)})` }));
  return (
    <SidePanel open title={subnet === undefined ? "Add a subnet" : "Edit subnet"} action={subnet === undefined ? "Add" : "Save"} onSubmit={submit} onClose={onClose}>
      {subnet === undefined ? (
        <>
          <DropdownField
            label="Subnet purpose"
            value={values.purpose}
            choices={[
              { value: "default", text: "Default" },
              { value: "bastion", text: "Azure Bastion" },
            ]}
            onChange={purpose}
          />
          <TextField label="Name" required value={values.name} disabled={values.purpose === "bastion"} onChange={(value) => form.set("name", value)} onBlur={() => form.touch("name")} error={form.error("name")} />
        </>
      ) : (
        <Fixed label="Name">
          <Name>{subnet.name}</Name>
        </Fixed>
      )}
      <Section title="IPv4">
        <DropdownField
          label="IPv4 address range"
          value={values.space}
          choices={spaces.map((space) => ({ value: formatNet(space), text: formatNet(space) }))}
          onChange={(space) => {
            const net = nextFree(parseNet(space)!, Number(values.size), taken);
            form.change({ space, ...(net === undefined ? {} : { start: formatAddress(net.first) }) });
          }}
        />
        <TextField label="Starting address" required value={values.start} onChange={(value) => form.set("start", value)} onBlur={() => form.touch("start")} error={form.error("start")} />
        <DropdownField label="Size" required value={values.size} choices={sizes} onChange={(value) => form.set("size", value)} />
        <Fixed label="Subnet address range">{form.errors.start === undefined ? visible(`${values.start}/${values.size}`) : "-"}</Fixed>
      </Section>
      <Section title="Private subnet">
        <CheckboxField label="Enable private subnet (no default outbound access)" checked={values.closed} onChange={(checked) => form.set("closed", checked)} />
      </Section>
      <Section title="Security">
        <DropdownField label="Network security group" value={values.group} choices={groups} onChange={(value) => form.set("group", value)} />
        <DropdownField label="Route table" value={values.table} choices={tables} onChange={(value) => form.set("table", value)} />
      </Section>
    </SidePanel>
  );
}
