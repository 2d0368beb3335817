// The tab "Basics" of a virtual machine: project, instance, administrator account, inbound ports.

import type { ReactNode } from "react";

import { DropdownField, Fixed, RadioField, Section, TextAreaField, TextField } from "../../forms/fields";
import type { Form } from "../../forms/form";
import { GroupField, RegionField, SubscriptionField } from "../../forms/project";
import { AVAILABILITY, IMAGES, SECURITY, sizeText, ZONES, type Size } from "./choices";
import { InboundPorts } from "./InboundPorts";
import type { Values } from "./values";

export function Basics({ form, subscription, onSubscription, sizes }: { form: Form<Values>; subscription: string; onSubscription: (id: string) => void; sizes: readonly Size[] }): ReactNode {
  const { values, set } = form;
  const known = sizes.some((size) => size.name === values.size) ? sizes : [{ name: values.size, numberOfCores: 2, memoryInMB: 8192 }, ...sizes];
  return (
    <>
      <p className="lead">A virtual machine that runs Linux. This tab is enough where the defaults of the others will do; Review + create shows what is going to be made.</p>
      <Section title="Project details">
        <SubscriptionField value={subscription} onChange={onSubscription} />
        <GroupField subscription={subscription} value={values.group} onChange={(group) => set("group", group)} error={form.error("group")} />
      </Section>
      <Section title="Instance details">
        <TextField label="Virtual machine name" required value={values.name} onChange={(name) => set("name", name)} onBlur={() => form.touch("name")} error={form.error("name")} />
        <RegionField value={values.region} onChange={(region) => set("region", region)} />
        <DropdownField label="Availability options" value={values.availability} choices={AVAILABILITY} onChange={(value) => set("availability", value)} />
        {values.availability === "zone" && <DropdownField label="Availability zone" required value={values.zone} choices={ZONES} onChange={(value) => set("zone", value)} />}
        <DropdownField label="Security type" value={values.security} choices={SECURITY} onChange={(value) => set("security", value)} error={form.errors.security} />
        <DropdownField label="Image" required value={values.image} choices={IMAGES.map(({ text }) => ({ value: text, text }))} onChange={(value) => set("image", value)} />
        <RadioField
          label="VM architecture"
          value="x64"
          choices={[
            { value: "Arm64", text: "Arm64", disabled: true },
            { value: "x64", text: "x64" },
          ]}
          onChange={() => undefined}
        />
        <DropdownField label="Size" required value={values.size} choices={known.map((size) => ({ value: size.name, text: sizeText(size) }))} onChange={(value) => set("size", value)} />
      </Section>
      <Account form={form} />
      <Section title="Inbound port rules">
        <p className="note">
          Ports at which the machine can be reached from the internet. Rules that say more than that belong to a network security group, on the Networking tab.
        </p>
        <InboundPorts form={form} />
      </Section>
    </>
  );
}

function Account({ form }: { form: Form<Values> }): ReactNode {
  const { values, set } = form;
  return (
    <Section title="Administrator account">
      <RadioField
        label="Authentication type"
        value={values.authentication}
        choices={[
          { value: "key", text: "SSH public key" },
          { value: "password", text: "Password" },
        ]}
        onChange={(value) => set("authentication", value === "key" ? "key" : "password")}
      />
      <TextField label="Username" required value={values.user} onChange={(user) => set("user", user)} onBlur={() => form.touch("user")} error={form.error("user")} />
      {values.authentication === "password" ? (
        <>
          <TextField label="Password" required type="password" autoComplete="new-password" value={values.password} onChange={(password) => set("password", password)} onBlur={() => form.touch("password")} error={form.error("password")} />
          <TextField
            label="Confirm password"
            required
            type="password"
            autoComplete="new-password"
            value={values.confirmed}
            onChange={(confirmed) => set("confirmed", confirmed)}
            onBlur={() => form.touch("confirmed")}
            error={form.error("confirmed")}
          />
        </>
      ) : (
        <>
          <Fixed label="SSH public key source">Use existing public key</Fixed>
          <TextAreaField label="SSH public key" required value={values.key} onChange={(key) => set("key", key)} onBlur={() => form.touch("key")} error={form.error("key")} placeholder="ssh-ed25519 AAAA…" />
        </>
      )}
    </Section>
  );
}
