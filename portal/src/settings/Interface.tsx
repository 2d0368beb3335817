// IP configurations and the security group of a network interface, and their forms.

import { Button } from "@fluentui/react-components";
import { useMemo, useState, type ReactNode } from "react";

import { type Json, type Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { nameOf, parseId, sameId } from "../arm/ids";
import { nameError } from "../forms/checks";
import { CheckboxField, DropdownField, Fixed, RadioField, Section, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import type { GridColumn } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { Failure } from "../shell/Blade";
import { Name } from "../shell/text";
import { change, object, objects, refId, saving } from "./change";
import { choicesOf, NONE } from "./choices";
import { property, ResourceLink, Sublist } from "./Sublist";

export const NIC = "Microsoft.Network/networkInterfaces";
const PUBLIC = "Microsoft.Network/publicIPAddresses";

const COLUMNS: readonly GridColumn<Resource>[] = [
  { key: "name", title: "Name", width: 1.5, text: (row) => row.name },
  { key: "version", title: "IP Version", width: 1, text: (row) => property(row, "privateIPAddressVersion") || "IPv4" },
  { key: "kind", title: "Type", width: 1, text: (row) => (property(row, "primary") === "true" ? "Primary" : "Secondary") },
  { key: "private", title: "Private IP address", width: 1.8, text: (row) => `${property(row, "privateIPAddress") || "-"} (${property(row, "privateIPAllocationMethod")})` },
  { key: "public", title: "Public IP address", width: 1.5, text: (row) => nameOf(refId(row.properties?.publicIPAddress) ?? ""), cell: (row) => <ResourceLink id={refId(row.properties?.publicIPAddress)} /> },
];

export function configurations(nic: Resource): Resource[] {
  return objects(nic.properties, "ipConfigurations") as unknown as Resource[];
}

export function IpConfigurations({ id, resource, reload }: ResourceProps): ReactNode {
  const can = useCan(id.text);
  const writable = can(`${NIC}/write`);
  const [edited, setEdited] = useState<Resource | "new">();
  const rows = useMemo(() => configurations(resource), [resource]);
  const subnet = refId(rows[0]?.properties?.subnet);
  return (
    <>
      <Sublist
        label="IP configurations"
        found={{ data: rows, error: undefined, loading: false, reload }}
        type={`${NIC}/ipConfigurations`}
        columns={COLUMNS}
        onAdd={writable ? () => setEdited("new") : undefined}
        onOpen={writable ? setEdited : undefined}
        about={
          <div className="settings-form">
            <Forwarding nic={resource} writable={writable} />
            <Fixed label="Virtual network">
              <ResourceLink id={subnet === undefined ? undefined : parseId(subnet)?.parent} />
            </Fixed>
            <Fixed label="Subnet">
              <ResourceLink id={subnet} />
            </Fixed>
          </div>
        }
        empty="No IP configurations to display"
      />
      {edited !== undefined && <ConfigurationPanel nic={resource} configuration={edited === "new" ? undefined : edited} onClose={() => setEdited(undefined)} />}
    </>
  );
}

/** "Enable IP forwarding" and Apply. */
function Forwarding({ nic, writable }: { nic: Resource; writable: boolean }): ReactNode {
  const now = nic.properties?.enableIPForwarding === true;
  const form = useForm({ forwarding: now }, () => ({}));
  const [error, setError] = useState<Error>();
  const apply = (): void => {
    setError(undefined);
    saving("network interface", nic, "ipConfigurations", () => change(nic.id, (properties) => void (properties.enableIPForwarding = form.values.forwarding))).then(form.release, setError);
  };
  return (
    <>
      {error && <Failure error={error} />}
      <CheckboxField label="Enable IP forwarding" checked={form.values.forwarding} onChange={(checked) => form.set("forwarding", checked)} disabled={!writable} />
      {writable && form.values.forwarding !== now && (
        <Button appearance="primary" onClick={apply}>
          Apply
        </Button>
      )}
    </>
  );
}

function ConfigurationPanel({ nic, configuration, onClose }: { nic: Resource; configuration: Resource | undefined; onClose: () => void }): ReactNode {
  const all = configurations(nic);
  const before = configuration?.properties ?? {};
  const publics = useList<Resource>(`/subscriptions/${parseId(nic.id)!.subscription}/providers/${PUBLIC}`);
  const attached = refId(before.publicIPAddress)?.toLowerCase();
  const free = (publics.data ?? []).filter((one) => one.location === nic.location && (refId(one.properties?.ipConfiguration) === undefined || sameId(one.id, attached)));
  const form = useForm(
    {
      name: configuration?.name ?? "",
      method: String(before.privateIPAllocationMethod ?? "Dynamic"),
      address: String(before.privateIPAddress ?? ""),
      isPublic: attached !== undefined,
      address2: attached ?? "",
    },
    (entered) => ({
      name: configuration === undefined ? nameError(`${NIC}/ipConfigurations`, entered.name, all.map((one) => one.name)) : undefined,
      address: entered.method === "Static" && !/^\d{1,3}(\.\d{1,3}){3}$/.test(entered.address.trim()) ? "Provide an IP address of the subnet." : undefined,
      address2: entered.isPublic && entered.address2 === "" ? "Select a public IP address." : undefined,
    }),
  );
  const { values } = form;
  const fill = (properties: Json): void => {
    properties.privateIPAllocationMethod = values.method;
    if (values.method === "Static") properties.privateIPAddress = values.address.trim();
    if (values.isPublic) properties.publicIPAddress = { id: values.address2 };
    else delete properties.publicIPAddress;
  };
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    await saving("network interface", nic, "ipConfigurations", () =>
      change(nic.id, (properties) => {
        const list = objects(properties, "ipConfigurations");
        const found = list.find((one) => String(one.name).toLowerCase() === values.name.toLowerCase());
        if (found !== undefined) fill(object(found.properties));
        else {
          const fresh: Json = { subnet: object(list[0]?.properties).subnet, primary: false };
          fill(fresh);
          list.push({ name: values.name, properties: fresh });
        }
      }),
    );
    form.release();
  };
  return (
    <SidePanel open title={configuration === undefined ? "Add IP configuration" : "Edit IP configuration"} action={configuration === undefined ? "Add" : "Save"} onSubmit={submit} onClose={onClose}>
      {configuration === undefined ? (
        <TextField label="Name" required value={values.name} onChange={(value) => form.set("name", value)} onBlur={() => form.touch("name")} error={form.error("name")} />
      ) : (
        <Fixed label="Name">
          <Name>{configuration.name}</Name>
        </Fixed>
      )}
      <Section title="Private IP address settings">
        <RadioField
          label="Allocation"
          value={values.method}
          choices={[
            { value: "Dynamic", text: "Dynamic" },
            { value: "Static", text: "Static" },
          ]}
          onChange={(value) => form.set("method", value)}
        />
        <TextField
          label="Private IP address"
          required={values.method === "Static"}
          disabled={values.method === "Dynamic"}
          value={values.address}
          onChange={(value) => form.set("address", value)}
          onBlur={() => form.touch("address")}
          error={form.error("address")}
        />
      </Section>
      <Section title="Public IP address settings">
        <CheckboxField label="Associate public IP address" checked={values.isPublic} onChange={(checked) => form.set("isPublic", checked)} />
        {values.isPublic && (
          <DropdownField
            label="Public IP address"
            required
            value={values.address2 || undefined}
            choices={choicesOf(free)}
            onChange={(value) => form.set("address2", value)}
            error={form.error("address2")}
            placeholder="Select a public IP address"
          />
        )}
      </Section>
    </SidePanel>
  );
}

/** The group of the interface itself, chosen and saved. */
export function InterfaceGroup({ id, resource }: ResourceProps): ReactNode {
  const can = useCan(id.text);
  const now = refId(resource.properties?.networkSecurityGroup)?.toLowerCase() ?? NONE;
  const groups = useList<Resource>(`/subscriptions/${id.subscription}/providers/Microsoft.Network/networkSecurityGroups`);
  const form = useForm({ group: now }, () => ({}));
  const [error, setError] = useState<Error>();
  const choices = [{ value: NONE, text: "None" }, ...choicesOf((groups.data ?? []).filter((one) => one.location === resource.location))];
  const save = (): void => {
    setError(undefined);
    saving("network interface", resource, "networkSecurityGroup", () =>
      change(id.text, (properties) => {
        if (form.values.group === NONE) delete properties.networkSecurityGroup;
        else properties.networkSecurityGroup = { id: form.values.group };
      }),
    ).then(form.release, setError);
  };
  const writable = can(`${NIC}/write`);
  return (
    <section className="settings-form">
      {error && <Failure error={error} />}
      <DropdownField label="Network security group" value={form.values.group} choices={choices} onChange={(value) => form.set("group", value)} disabled={!writable} />
      {writable && (
        <div className="buttons">
          <Button appearance="primary" onClick={save} disabled={form.values.group === now}>
            Save
          </Button>
        </div>
      )}
    </section>
  );
}
