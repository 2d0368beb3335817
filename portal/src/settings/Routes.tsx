// Routes of a route table, and the form of one.

import { useState, type ReactNode } from "react";

import { put, type Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { sameId } from "../arm/ids";
import { nameError, required } from "../forms/checks";
import { DropdownField, Fixed, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import type { GridColumn } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { Name, visible } from "../shell/text";
import { property, Sublist } from "./Sublist";

export const TABLE = "Microsoft.Network/routeTables";
export const ROUTE = `${TABLE}/routes`;

const HOPS = [
  { value: "VirtualNetworkGateway", text: "Virtual network gateway" },
  { value: "VnetLocal", text: "Virtual network" },
  { value: "Internet", text: "Internet" },
  { value: "VirtualAppliance", text: "Virtual appliance" },
  { value: "None", text: "None" },
];
/** Service tags that a route may lead to: those that mean the same in every network. */
const TAGS = ["AzureCloud", "Storage", "Sql", "AzureActiveDirectory", "AzureMonitor", "AzureKeyVault"];

const hopName = (row: Resource): string => HOPS.find((hop) => hop.value === property(row, "nextHopType"))?.text ?? property(row, "nextHopType");

const COLUMNS: readonly GridColumn<Resource>[] = [
  { key: "name", title: "Name", width: 2, text: (row) => row.name },
  { key: "prefix", title: "Address prefix", width: 1.5, text: (row) => property(row, "addressPrefix") },
  { key: "hop", title: "Next hop type", width: 1.5, text: hopName },
  { key: "address", title: "Next hop IP address", width: 1.5, text: (row) => property(row, "nextHopIpAddress") || "-" },
];

export default function Routes({ id, resource }: ResourceProps): ReactNode {
  const found = useList<Resource>(`${id.text}/routes`);
  const can = useCan(id.text);
  const writable = can(`${ROUTE}/write`);
  const [edited, setEdited] = useState<Resource | "new">();
  return (
    <>
      <Sublist
        label="Routes"
        found={found}
        type={ROUTE}
        columns={COLUMNS}
        onAdd={writable ? () => setEdited("new") : undefined}
        onOpen={writable ? setEdited : undefined}
        deletable={can(`${ROUTE}/delete`)}
        empty="No routes to display"
      />
      {edited !== undefined && <RoutePanel table={resource} routes={found.data ?? []} route={edited === "new" ? undefined : edited} onClose={() => setEdited(undefined)} />}
    </>
  );
}

function RoutePanel(props: { table: Resource; routes: readonly Resource[]; route: Resource | undefined; onClose: () => void }): ReactNode {
  const { table, routes, route, onClose } = props;
  const others = routes.filter((other) => !sameId(other.id, route?.id));
  const form = useForm(
    () => {
      const prefix = route === undefined ? "" : property(route, "addressPrefix");
      const tag = prefix !== "" && !/^[0-9a-f.:]+\//i.test(prefix);
      return {
        name: route?.name ?? "",
        kind: tag ? "tag" : "addresses",
        prefix: tag ? "" : prefix,
        tag: tag ? prefix : "AzureCloud",
        hop: route === undefined ? undefined : property(route, "nextHopType"),
        address: route === undefined ? "" : property(route, "nextHopIpAddress"),
      };
    },
    (entered) => ({
      name: nameError(ROUTE, entered.name, others.map((other) => other.name)),
      prefix: entered.kind === "addresses" && !/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$|^[0-9a-f:]+\/\d{1,3}$/i.test(entered.prefix.trim()) ? "Provide a range in CIDR notation, such as 10.1.0.0/16." : undefined,
      hop: required(entered.hop),
      address: entered.hop === "VirtualAppliance" && !/^\d{1,3}(\.\d{1,3}){3}$/.test(entered.address.trim()) ? "Provide the IP address of the appliance." : undefined,
    }),
  );
  const { values } = form;
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    const properties = {
      addressPrefix: values.kind === "tag" ? values.tag : values.prefix.trim(),
      nextHopType: values.hop,
      ...(values.hop === "VirtualAppliance" ? { nextHopIpAddress: values.address.trim() } : {}),
    };
    const words = { title: "Saving route", done: "Saved route", failed: "Failed to save route", about: values.name, to: resourcePath(table.id, "routes") };
    await notified(words, () => put(`${table.id}/routes/${values.name}`, { properties }));
    form.release();
  };
  return (
    <SidePanel open title={route === undefined ? "Add route" : visible(route.name)} action={route === undefined ? "Add" : "Save"} onSubmit={submit} onClose={onClose}>
      {route === undefined ? (
        <TextField label="Route name" required value={values.name} onChange={(value) => form.set("name", value)} onBlur={() => form.touch("name")} error={form.error("name")} />
      ) : (
        <Fixed label="Route name">
          <Name>{route.name}</Name>
        </Fixed>
      )}
      <DropdownField
        label="Destination type"
        required
        value={values.kind}
        choices={[
          { value: "addresses", text: "IP Addresses" },
          { value: "tag", text: "Service Tag" },
        ]}
        onChange={(value) => form.set("kind", value)}
      />
      {values.kind === "addresses" ? (
        <TextField
          label="Destination IP addresses/CIDR ranges"
          required
          placeholder="10.0.0.0/16"
          value={values.prefix}
          onChange={(value) => form.set("prefix", value)}
          onBlur={() => form.touch("prefix")}
          error={form.error("prefix")}
        />
      ) : (
        <DropdownField
          label="Destination service tag"
          required
          value={values.tag}
          choices={[...new Set([...TAGS, values.tag])].map((tag) => ({ value: tag, text: tag }))}
          onChange={(value) => form.set("tag", value)}
        />
      )}
      <DropdownField label="Next hop type" required value={values.hop} choices={HOPS} onChange={(value) => form.set("hop", value)} error={form.error("hop")} placeholder="Select a next hop type" />
      <TextField
        label="Next hop address"
        required={values.hop === "VirtualAppliance"}
        disabled={values.hop !== "VirtualAppliance"}
        value={values.hop === "VirtualAppliance" ? values.address : ""}
        onChange={(value) => form.set("address", value)}
        onBlur={() => form.touch("address")}
        error={form.error("address")}
        {...(values.hop === "VirtualAppliance" ? { hint: "Ensure you have IP forwarding enabled on your virtual appliance." } : {})}
      />
    </SidePanel>
  );
}
