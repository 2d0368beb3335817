// Create public IP address: name, SKU, assignment, idle timeout, DNS name label.

import type { ReactNode } from "react";

import { nameError } from "../forms/checks";
import { Fixed, RadioField, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { groupError } from "../forms/project";
import { Wizard } from "../forms/Wizard";
import { browsePath } from "../shell/router";
import { tagsError, tagsOf } from "../forms/tags";
import { inGroup, names, tagsReview, useAll, useProject, useProjectReview } from "./basics";
import { deploymentSteps, idIn, validateDeployment, type Planned } from "./deployment";
import { asNamed, Basics, tagsTab, type Named } from "./parts";
import { addressSku, PUBLIC_IP } from "./shapes";

interface Values extends Named {
  readonly sku: string;
  readonly method: string;
  readonly idle: string;
  readonly label: string;
}

function labelError(label: string): string | undefined {
  return label === "" || /^[a-z][a-z0-9-]{1,61}[a-z0-9]$/.test(label) ? undefined : "The label begins with a lowercase letter, ends with a letter or digit, and has 3 to 63 lowercase letters, digits and hyphens.";
}

export default function CreateAddress({ known }: { known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const all = useAll(subscription, PUBLIC_IP);
  const form = useForm<Values>({ ...initial, name: "", sku: "Standard", method: "Static", idle: "4", label: "" }, (entered) => ({
    group: groupError(entered.group),
    name: nameError(PUBLIC_IP, entered.name, names(inGroup(all, entered.group))),
    idle: /^\d+$/.test(entered.idle) && Number(entered.idle) >= 4 && Number(entered.idle) <= 30 ? undefined : "The value must be between 4 and 30.",
    label: labelError(entered.label),
    tags: tagsError(entered.tags),
  }));
  const { values, set, change } = form;
  const project = { ...values, subscription };
  const dns = values.label === "" ? {} : { dnsSettings: { domainNameLabel: values.label } };
  const plan = (): Planned => ({
    ...project,
    name: "Microsoft.PublicIPAddress",
    resources: [
      {
        type: PUBLIC_IP,
        name: values.name,
        location: values.region,
        tags: tagsOf(values.tags),
        sku: addressSku(values.sku),
        properties: { publicIPAddressVersion: "IPv4", publicIPAllocationMethod: values.method, idleTimeoutInMinutes: Number(values.idle), ...dns },
      },
    ],
    main: idIn(project, PUBLIC_IP, values.name),
  });
  return (
    <Wizard
      title="Create public IP address"
      crumbs={[{ text: "Public IP addresses", to: browsePath(PUBLIC_IP) }]}
      tabs={[
        {
          key: "basics",
          title: "Basics",
          wrong: Boolean(form.errors.group ?? form.errors.name ?? form.errors.idle ?? form.errors.label),
          content: (
            <Basics form={asNamed(form)} subscription={subscription} onSubscription={setSubscription} lead="An address at which a network interface or a Bastion host is reached from the internet.">
              <Fixed label="IP Version">IPv4</Fixed>
              <RadioField
                label="SKU"
                required
                value={values.sku}
                choices={["Standard", "Basic"].map((value) => ({ value, text: value }))}
                onChange={(sku) => change({ sku, ...(sku === "Standard" ? { method: "Static" } : {}) })}
              />
              <Fixed label="Tier">Regional</Fixed>
              <RadioField
                label="IP address assignment"
                required
                value={values.method}
                choices={[
                  { value: "Dynamic", text: "Dynamic", disabled: values.sku === "Standard" },
                  { value: "Static", text: "Static" },
                ]}
                onChange={(method) => set("method", method)}
              />
              <TextField label="Idle timeout (minutes)" required value={values.idle} onChange={(idle) => set("idle", idle)} error={form.errors.idle} />
              <TextField label="DNS name label" value={values.label} onChange={(label) => set("label", label)} onBlur={() => form.touch("label")} error={form.error("label")} hint={`.${values.region}.cloudapp.azure.com`} />
            </Basics>
          ),
        },
        tagsTab(asNamed(form)),
      ]}
      review={[
        {
          title: "Basics",
          values: [
            ...reviewed(project, "Name", values.name),
            ["IP Version", "IPv4"],
            ["SKU", values.sku],
            ["IP address assignment", values.method],
            ["Idle timeout (minutes)", values.idle],
            ["DNS name label", values.label],
          ],
        },
        ...tagsReview(values.tags),
      ]}
      check={() => form.check()}
      validate={() => validateDeployment(plan())}
      steps={() => deploymentSteps(plan())}
      onSent={form.release}
    />
  );
}
