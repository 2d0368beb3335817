// Create a resource group: the smallest wizard, and the pattern of all.

import { useState, type ReactNode } from "react";

import { put, type Resource } from "../arm/client";
import { useList } from "../arm/hooks";
import { GROUP_TYPE, groupId } from "../arm/ids";
import { groupNameError } from "../forms/checks";
import { Section, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { DEFAULT_REGION, RegionField, SubscriptionField } from "../forms/project";
import { Wizard } from "../forms/Wizard";
import { browsePath } from "../shell/router";
import { useLocationName, useSession } from "../shell/session";

export default function CreateGroup(): ReactNode {
  const { subscriptions } = useSession();
  const locationName = useLocationName();
  const [subscription, setSubscription] = useState(subscriptions[0]?.subscriptionId ?? "");
  const groups = useList<Resource>(subscription === "" ? undefined : `/subscriptions/${subscription}/resourceGroups`);
  const taken = (groups.data ?? []).map((group) => group.name);
  const form = useForm({ name: "", region: DEFAULT_REGION }, (entered) => ({ name: groupNameError(entered.name, taken) }));
  const { values } = form;
  const id = groupId(subscription, values.name);
  return (
    <Wizard
      title="Create a resource group"
      crumbs={[{ text: "Resource groups", to: browsePath(GROUP_TYPE) }]}
      tabs={[
        {
          key: "basics",
          title: "Basics",
          wrong: !form.valid,
          content: (
            <>
              <p className="lead">A resource group is a container that holds related resources. Its resources are created, listed and deleted together.</p>
              <Section title="Project details">
                <SubscriptionField value={subscription} onChange={setSubscription} />
                <TextField label="Resource group name" required value={values.name} onChange={(value) => form.set("name", value)} onBlur={() => form.touch("name")} error={form.error("name")} />
                <RegionField value={values.region} onChange={(value) => form.set("region", value)} />
              </Section>
            </>
          ),
        },
      ]}
      review={[
        {
          title: "Basics",
          values: [
            ["Subscription", subscriptions.find((found) => found.subscriptionId === subscription)?.displayName ?? ""],
            ["Resource group name", values.name],
            ["Region", locationName(values.region)],
          ],
        },
      ]}
      check={() => form.check()}
      steps={() => [{ id, type: GROUP_TYPE, name: values.name, run: () => put(id, { location: values.region }) }]}
      onSent={form.release}
    />
  );
}
