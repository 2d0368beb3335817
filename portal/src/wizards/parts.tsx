// The fields that the wizards share: project, name and region on the first tab, tags on the last but one.

import type { ReactNode } from "react";

import { Section, TextField } from "../forms/fields";
import type { Form } from "../forms/form";
import { GroupField, RegionField, SubscriptionField } from "../forms/project";
import type { WizardTab } from "../forms/Wizard";
import { TagFields, type Project } from "./basics";

export interface Named extends Project {
  readonly name: string;
}

/** A form of more than these fields, seen as one of these alone. */
export function asNamed<T extends Named>(form: Form<T>): Form<Named> {
  return form as unknown as Form<Named>;
}

export function Basics(props: { form: Form<Named>; subscription: string; onSubscription: (id: string) => void; lead: string; nameLabel?: string; children?: ReactNode }): ReactNode {
  const { form, subscription, onSubscription, lead, nameLabel = "Name", children } = props;
  const { values, set } = form;
  return (
    <>
      <p className="lead">{lead}</p>
      <Section title="Project details">
        <SubscriptionField value={subscription} onChange={onSubscription} />
        <GroupField subscription={subscription} value={values.group} onChange={(group) => set("group", group)} error={form.error("group")} />
      </Section>
      <Section title="Instance details">
        <TextField label={nameLabel} required value={values.name} onChange={(name) => set("name", name)} onBlur={() => form.touch("name")} error={form.error("name")} />
        <RegionField value={values.region} onChange={(region) => set("region", region)} />
        {children}
      </Section>
    </>
  );
}

export function tagsTab(form: Form<Named>): WizardTab {
  return {
    key: "tags",
    title: "Tags",
    wrong: Boolean(form.errors.tags),
    content: <TagFields rows={form.values.tags} onChange={(tags) => form.set("tags", tags)} error={form.error("tags")} />,
  };
}
