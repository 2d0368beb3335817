// Configuration of a public IP address: idle timeout, DNS name label, and the interface it is associated to.

import { Button } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { parseId } from "../arm/ids";
import { required } from "../forms/checks";
import { DropdownField, Fixed, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import type { ResourceProps } from "../pages/registry";
import { Failure } from "../shell/Blade";
import { change, object, objects, refId, saving } from "./change";
import { choicesOf } from "./choices";
import { configurations, NIC } from "./Interface";
import { property, ResourceLink } from "./Sublist";

export default function PublicAddress({ id, resource }: ResourceProps): ReactNode {
  const can = useCan(id.text);
  const writable = can(`${id.type}/write`);
  const form = useForm({ minutes: property(resource, "idleTimeoutInMinutes"), label: property(resource, "dnsSettings.domainNameLabel") }, (entered) => ({
    minutes: /^\d+$/.test(entered.minutes) && Number(entered.minutes) >= 4 && Number(entered.minutes) <= 30 ? undefined : "The value must be between 4 and 30.",
    label: entered.label === "" || /^[a-z][a-z0-9-]{1,61}[a-z0-9]$/.test(entered.label) ? undefined : "3 to 63 lower-case letters, digits and hyphens; it begins with a letter and ends with a letter or digit.",
  }));
  const { values } = form;
  const [error, setError] = useState<Error>();
  const [associating, setAssociating] = useState(false);
  const user = refId(resource.properties?.ipConfiguration);
  const save = (): void => {
    if (!form.check()) return;
    setError(undefined);
    saving("public IP address", resource, "configuration", () =>
      change(id.text, (properties) => {
        properties.idleTimeoutInMinutes = Number(values.minutes);
        if (values.label !== "") properties.dnsSettings = { ...object(properties.dnsSettings), domainNameLabel: values.label };
        else delete properties.dnsSettings;
      }),
    ).then(form.release, setError);
  };
  return (
    <section className="settings-form" aria-label="Configuration">
      {error && <Failure error={error} />}
      <Fixed label="IP address assignment">{property(resource, "publicIPAllocationMethod")}</Fixed>
      <Fixed label="IP address">{property(resource, "ipAddress") || "-"}</Fixed>
      <Fixed label="Associated to">
        <ResourceLink id={user?.split(/\/(?:bastionHostIp|ip)Configurations\//i)[0]} />
        {user === undefined && can(`${NIC}/write`) && can(`${id.type}/join/action`) && (
          <Button size="small" onClick={() => setAssociating(true)}>
            Associate
          </Button>
        )}
      </Fixed>
      {associating && <Associate address={resource} onClose={() => setAssociating(false)} />}
      <TextField label="Idle timeout (minutes)" required type="number" value={values.minutes} onChange={(value) => form.set("minutes", value)} onBlur={() => form.touch("minutes")} error={form.error("minutes")} disabled={!writable} />
      <TextField
        label="DNS name label (optional)"
        value={values.label}
        onChange={(value) => form.set("label", value)}
        onBlur={() => form.touch("label")}
        error={form.error("label")}
        disabled={!writable}
        hint={property(resource, "dnsSettings.fqdn") || `.${resource.location}.cloudapp.azure.com`}
      />
      {writable && (
        <div className="buttons">
          <Button appearance="primary" onClick={save}>
            Save
          </Button>
        </div>
      )}
    </section>
  );
}

/** A network interface of the region whose first configuration has no public address yet. */
function Associate({ address, onClose }: { address: Resource; onClose: () => void }): ReactNode {
  const nics = useList<Resource>(`/subscriptions/${parseId(address.id)!.subscription}/providers/${NIC}`);
  const form = useForm({ nic: "" }, (entered) => ({ nic: required(entered.nic) }));
  const free = (nics.data ?? []).filter((nic) => nic.location === address.location && refId(configurations(nic)[0]?.properties?.publicIPAddress) === undefined);
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    await saving("public IP address", address, "configuration", () =>
      change(form.values.nic, (properties) => {
        const [first] = objects(properties, "ipConfigurations");
        if (first !== undefined) first.properties = { ...object(first.properties), publicIPAddress: { id: address.id } };
      }),
    );
    form.release();
  };
  return (
    <SidePanel open title="Associate public IP address" action="OK" onSubmit={submit} onClose={onClose}>
      <DropdownField label="Network interface" required value={form.values.nic || undefined} choices={choicesOf(free)} onChange={(value) => form.set("nic", value)} error={form.error("nic")} />
    </SidePanel>
  );
}
