// Configuration of a Bastion host: its tier, its instances, and what else it lets through.

import { Button } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import { useCan } from "../arm/hooks";
import { CheckboxField, DropdownField, Section, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import type { ResourceProps } from "../pages/registry";
import { Failure } from "../shell/Blade";
import { change, saving } from "./change";
import { property } from "./Sublist";

const TIERS = ["Basic", "Standard", "Premium"];
/** Members of the host, as Azure's portal calls them; those of the Standard tier and up. */
const FEATURES = [
  ["enableTunneling", "Native client support"],
  ["enableIpConnect", "IP-based connection"],
  ["enableFileCopy", "File copy"],
  ["enableShareableLink", "Shareable Link"],
] as const;

export default function Bastion({ id, resource }: ResourceProps): ReactNode {
  const writable = useCan(id.text)(`${id.type}/write`);
  const now = resource.sku?.name ?? "Basic";
  const form = useForm(
    {
      tier: now,
      instances: property(resource, "scaleUnits"),
      copyPaste: property(resource, "disableCopyPaste") !== "true",
      on: FEATURES.map(([name]) => name as string).filter((name) => property(resource, name) === "true"),
    },
    (entered) => ({ instances: /^\d+$/.test(entered.instances) && Number(entered.instances) >= 2 && Number(entered.instances) <= 50 ? undefined : "The value must be between 2 and 50." }),
  );
  const { values } = form;
  const basic = values.tier === "Basic";
  const [error, setError] = useState<Error>();
  const apply = (): void => {
    if (!form.check()) return;
    setError(undefined);
    saving("Bastion", resource, "configuration", () =>
      change(id.text, (properties, host) => {
        host.sku = { ...host.sku, name: values.tier };
        if (!basic) properties.scaleUnits = Number(values.instances);
        properties.disableCopyPaste = !basic && !values.copyPaste;
        for (const [name] of FEATURES) properties[name] = !basic && values.on.includes(name);
      }),
    ).then(form.release, setError);
  };
  return (
    <section className="settings-form" aria-label="Configuration">
      {error && <Failure error={error} />}
      <DropdownField
        label="Tier"
        value={values.tier}
        // A host is never made smaller.
        choices={TIERS.map((tier) => ({ value: tier, text: tier, disabled: TIERS.indexOf(tier) < TIERS.indexOf(now) }))}
        onChange={(value) => form.set("tier", value)}
        disabled={!writable}
      />
      <TextField label="Instance count" type="number" value={values.instances} onChange={(value) => form.set("instances", value)} error={form.error("instances")} disabled={!writable || basic} />
      <Section title="Features">
        <CheckboxField label="Copy and paste" checked={values.copyPaste} onChange={(checked) => form.set("copyPaste", checked)} disabled={!writable || basic} />
        {FEATURES.map(([name, label]) => (
          <CheckboxField
            key={name}
            label={label}
            checked={values.on.includes(name)}
            onChange={(checked) => form.set("on", checked ? [...values.on, name] : values.on.filter((other) => other !== name))}
            disabled={!writable || basic}
          />
        ))}
      </Section>
      {writable && (
        <div className="buttons">
          <Button appearance="primary" onClick={apply}>
            Apply
          </Button>
        </div>
      )}
    </section>
  );
}
