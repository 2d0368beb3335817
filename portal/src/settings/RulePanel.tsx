// Add or edit a security rule, with the fields and the defaults of Azure's portal.

import { useState, type ReactNode } from "react";

import { put, type Resource } from "../arm/client";
import { parseId, sameId } from "../arm/ids";
import { nameError } from "../forms/checks";
import { DropdownField, Fixed, RadioField, TextAreaField, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { Name, visible } from "../shell/text";
import { ApplicationGroupsField } from "./ApplicationGroups";
import { addressesError, fresh, GROUPS, PLACES, portsError, priorityError, propertiesOf, proposedName, PROTOCOLS, RULE, SERVICES, TAGS, valuesOf, type Direction, type RuleValues } from "./rules";

/** Of the form's values, those that are text. */
type Text = Exclude<keyof RuleValues, "sourceGroups" | "destinationGroups">;

const groupsError = (ids: readonly string[]): string | undefined => (ids.length === 0 ? "The value must not be empty." : undefined);
const same = (text: string): { value: string; text: string } => ({ value: text, text });

export function RulePanel(props: { group: Resource; rules: readonly Resource[]; rule: Resource | undefined; direction: Direction; onClose: () => void }): ReactNode {
  const { group, rules, rule, direction, onClose } = props;
  const [named, setNamed] = useState(rule !== undefined);
  const others = rules.filter((other) => !sameId(other.id, rule?.id));
  const form = useForm<RuleValues>(
    () => (rule === undefined ? fresh(direction, rules) : valuesOf(rule)),
    (entered) => ({
      sourceAddresses: entered.source === "IP Addresses" ? addressesError(entered.sourceAddresses) : undefined,
      sourceGroups: entered.source === GROUPS ? groupsError(entered.sourceGroups) : undefined,
      sourcePorts: portsError(entered.sourcePorts),
      destinationAddresses: entered.destination === "IP Addresses" ? addressesError(entered.destinationAddresses) : undefined,
      destinationGroups: entered.destination === GROUPS ? groupsError(entered.destinationGroups) : undefined,
      destinationPorts: portsError(entered.destinationPorts),
      priority: priorityError(entered.priority, direction, others),
      name: nameError(RULE, entered.name, others.map((other) => other.name)),
      description: entered.description.length > 140 ? "A description has 140 characters at most." : undefined,
    }),
  );
  const { values } = form;
  const change = (entered: Partial<RuleValues>): void => {
    const next = { ...values, ...entered };
    form.change(named ? entered : { ...entered, name: proposedName(next, direction) });
  };
  const submit = async (): Promise<void> => {
    if (!form.check()) throw new Error("Some fields need another value.");
    const words =
      rule === undefined
        ? { title: "Creating security rule", done: "Created security rule", failed: "Failed to create security rule" }
        : { title: "Saving security rule", done: "Saved security rule", failed: "Failed to save security rule" };
    const to = resourcePath(group.id, `${direction.toLowerCase()}SecurityRules`);
    await notified({ ...words, about: values.name, to }, () => put(`${group.id}/securityRules/${values.name}`, { properties: propertiesOf(values, direction) }));
    form.release();
  };
  const text = (name: Text, label: string, more: { placeholder?: string; disabled?: boolean } = {}): ReactNode => (
    <TextField label={label} required value={values[name]} onChange={(value) => change({ [name]: value })} onBlur={() => form.touch(name)} error={form.error(name)} {...more} />
  );
  const side = (name: "source" | "destination", label: string): ReactNode => (
    <>
      <DropdownField label={label} value={values[name]} choices={PLACES.map(same)} onChange={(value) => change({ [name]: value })} />
      {values[name] === "IP Addresses" && text(`${name}Addresses`, `${label} IP addresses/CIDR ranges`, { placeholder: "10.0.0.0/24 or 10.0.0.4" })}
      {values[name] === "Service Tag" && (
        <DropdownField
          label={`${label} service tag`}
          required
          value={values[`${name}Tag`]}
          choices={[...new Set([...TAGS, values[`${name}Tag`]])].map(same)}
          onChange={(value) => change({ [`${name}Tag`]: value })}
        />
      )}
      {values[name] === GROUPS && (
        <ApplicationGroupsField
          label={`${label} application security groups`}
          subscription={parseId(group.id)!.subscription}
          region={group.location}
          chosen={values[`${name}Groups`]}
          onChange={(ids) => change({ [`${name}Groups`]: ids })}
          onBlur={() => form.touch(`${name}Groups`)}
          error={form.error(`${name}Groups`)}
        />
      )}
    </>
  );
  const service = (chosen: string): void => {
    const preset = SERVICES[chosen];
    change(preset === undefined ? { service: chosen } : { service: chosen, destinationPorts: preset[0], protocol: preset[1] });
  };
  const custom = values.service === "Custom";
  const title = rule === undefined ? `Add ${direction.toLowerCase()} security rule` : visible(rule.name);
  return (
    <SidePanel open title={title} action={rule === undefined ? "Add" : "Save"} onSubmit={submit} onClose={onClose}>
      {side("source", "Source")}
      {text("sourcePorts", "Source port ranges")}
      {side("destination", "Destination")}
      <DropdownField label="Service" value={values.service} choices={Object.keys(SERVICES).map(same)} onChange={service} />
      {text("destinationPorts", "Destination port ranges", { disabled: !custom })}
      <RadioField label="Protocol" value={values.protocol} choices={PROTOCOLS} onChange={(value) => change({ protocol: value })} disabled={!custom} />
      <RadioField label="Action" value={values.action} choices={["Allow", "Deny"].map(same)} onChange={(value) => change({ action: value })} />
      {text("priority", "Priority")}
      {rule === undefined ? (
        <TextField
          label="Name"
          required
          value={values.name}
          onChange={(value) => {
            setNamed(true);
            form.set("name", value);
          }}
          onBlur={() => form.touch("name")}
          error={form.error("name")}
        />
      ) : (
        <Fixed label="Name">
          <Name>{rule.name}</Name>
        </Fixed>
      )}
      <TextAreaField label="Description" rows={3} value={values.description} onChange={(value) => form.set("description", value)} error={form.errors.description} />
    </SidePanel>
  );
}
