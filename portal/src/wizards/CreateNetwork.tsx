// Create virtual network: Basics, Security (Azure Bastion), IP Addresses, Tags, Review + create.

import { useMemo, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { nameError } from "../forms/checks";
import { CheckboxField, Section, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { groupError, GroupField, RegionField, SubscriptionField } from "../forms/project";
import { Wizard } from "../forms/Wizard";
import { Loading } from "../shell/Blade";
import { browsePath } from "../shell/router";
import { tagsError, tagsOf } from "../forms/tags";
import { inGroup, names, TagFields, tagsReview, useAll, useProject, useProjectReview, type Project } from "./basics";
import { deploymentSteps, idIn, validateDeployment, type Planned, type Wanted } from "./deployment";
import { AddressSpaces } from "./network/AddressSpaces";
import { BASTION_SUBNET, networkProperties, prefixOf, propose, spacesError, withBastion, withoutBastion, type Space } from "./network/plan";
import { fresh, NONE, PickField, pickedId, pickText, type Pick } from "./pick";
import { addressSku, BASTION, bastionProperties, freeForBastion, NETWORK, PUBLIC_IP, ROUTE_TABLE, SECURITY_GROUP } from "./shapes";
import "./wizards.css";

interface Values extends Project {
  name: string;
  bastion: boolean;
  /** Empty while the name proposed is taken. */
  bastionName: string | undefined;
  address: Pick;
  /** Undefined while what is proposed is taken. */
  spaces: readonly Space[] | undefined;
}

const NOTHING: readonly Resource[] = [];

export default function CreateNetwork({ known }: { known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const networks = useAll(subscription, NETWORK);
  const hosts = useAll(subscription, BASTION);
  const publicIps = useAll(subscription, PUBLIC_IP);
  const securityGroups = useAll(subscription, SECURITY_GROUP) ?? NOTHING;
  const routeTables = useAll(subscription, ROUTE_TABLE) ?? NOTHING;
  const proposals = useMemo(() => (networks === undefined ? undefined : { plain: propose(networks, false), bastion: propose(networks, true) }), [networks]);
  const spacesOf = (entered: Values): readonly Space[] => entered.spaces ?? proposals?.[entered.bastion ? "bastion" : "plain"] ?? [];
  const bastionNameOf = (entered: Values): string => entered.bastionName ?? (entered.name === "" ? "" : `${entered.name}-Bastion`);
  const form = useForm<Values>({ ...initial, name: "", bastion: false, bastionName: undefined, address: NONE, spaces: undefined }, (entered) => ({
    group: groupError(entered.group),
    name: nameError(NETWORK, entered.name, names(inGroup(networks, entered.group))),
    bastionName: entered.bastion ? nameError(BASTION, bastionNameOf(entered), names(inGroup(hosts, entered.group))) : undefined,
    spaces: networks === undefined ? undefined : spacesError(spacesOf(entered), entered.bastion),
    tags: tagsError(entered.tags),
  }));
  const { values, set, change } = form;
  const project = { ...values, subscription };
  const here = (found: Resource): boolean => found.location === values.region;
  const bastionName = bastionNameOf(values);
  const address = values.address.kind === "none" ? fresh(`${values.name === "" ? "vnet" : values.name}-bastion`) : values.address;
  const spaces = spacesOf(values);

  const toggle = (on: boolean): void => change({ bastion: on, ...(values.spaces === undefined ? {} : { spaces: on ? withBastion(values.spaces) : withoutBastion(values.spaces) }) });
  const plan = (): Planned => {
    const id = idIn(project, NETWORK, values.name);
    const common = { location: values.region, tags: tagsOf(values.tags) };
    const resources: Wanted[] = [{ ...common, type: NETWORK, name: values.name, properties: networkProperties(spaces) }];
    if (values.bastion) {
      const publicIp = pickedId(address, PUBLIC_IP, project)!;
      const after = address.kind === "new" ? [publicIp, id] : [id];
      if (address.kind === "new") resources.unshift({ ...common, type: PUBLIC_IP, name: address.name, sku: addressSku("Standard"), properties: { publicIPAllocationMethod: "Static" } });
      resources.push({ ...common, type: BASTION, name: bastionName, sku: { name: "Standard" }, properties: bastionProperties(`${id}/subnets/${BASTION_SUBNET}`, publicIp), after });
    }
    return { ...project, name: "Microsoft.VirtualNetwork", resources, main: id };
  };

  const basics = (
    <>
      <p className="lead">A virtual network is a private address space of your own. What is in its subnets, virtual machines above all, reaches each other, peered networks and the internet as routes and security groups say.</p>
      <Section title="Project details">
        <SubscriptionField value={subscription} onChange={setSubscription} />
        <GroupField subscription={subscription} value={values.group} onChange={(group) => set("group", group)} error={form.error("group")} />
      </Section>
      <Section title="Instance details">
        <TextField label="Virtual network name" required value={values.name} onChange={(name) => set("name", name)} onBlur={() => form.touch("name")} error={form.error("name")} />
        <RegionField value={values.region} onChange={(region) => set("region", region)} />
      </Section>
    </>
  );
  const security = (
    <>
      <p className="lead">Services that keep watch over the virtual network. All of them can be added later.</p>
      <Section title="Azure Bastion">
        <p className="note">
          Azure Bastion opens a terminal on your virtual machines in the browser, by their private IP addresses: they need neither a public IP address nor an agent.
        </p>
        <CheckboxField label="Enable Azure Bastion" checked={values.bastion} onChange={toggle} />
        {values.bastion && (
          <>
            <TextField label="Azure Bastion host name" required value={bastionName} onChange={(name) => set("bastionName", name)} onBlur={() => form.touch("bastionName")} error={form.error("bastionName")} />
            <PickField
              label="Azure Bastion public IP address"
              required
              type={PUBLIC_IP}
              group={values.group}
              value={address}
              existing={(publicIps ?? NOTHING).filter((found) => here(found) && freeForBastion(found))}
              all={publicIps}
              onChange={(picked) => set("address", picked)}
              create="Create a public IP address"
            />
          </>
        )}
      </Section>
    </>
  );
  return (
    <Wizard
      title="Create virtual network"
      crumbs={[{ text: "Virtual networks", to: browsePath(NETWORK) }]}
      tabs={[
        { key: "basics", title: "Basics", wrong: Boolean(form.errors.group ?? form.errors.name), content: basics },
        { key: "security", title: "Security", wrong: Boolean(form.errors.bastionName), content: security },
        {
          key: "addresses",
          title: "IP Addresses",
          wrong: Boolean(form.errors.spaces),
          content:
            networks === undefined ? (
              <Loading />
            ) : (
              <AddressSpaces
                spaces={spaces}
                networks={networks}
                securityGroups={securityGroups.filter(here)}
                routeTables={routeTables.filter(here)}
                onChange={(changed) => set("spaces", changed)}
                error={form.error("spaces")}
              />
            ),
        },
        { key: "tags", title: "Tags", wrong: Boolean(form.errors.tags), content: <TagFields rows={values.tags} onChange={(tags) => set("tags", tags)} error={form.error("tags")} /> },
      ]}
      review={[
        { title: "Basics", values: reviewed(project, "Name", values.name) },
        {
          title: "Security",
          values: values.bastion
            ? [
                ["Azure Bastion", "Enabled"],
                ["Azure Bastion host name", bastionName],
                ["Azure Bastion public IP address", pickText(address)],
              ]
            : [["Azure Bastion", "Disabled"]],
        },
        {
          title: "IP Addresses",
          values: spaces.flatMap((space, n): [string, string][] => [
            [`Address space${spaces.length > 1 ? ` ${n + 1}` : ""}`, prefixOf(space)],
            ...space.subnets.map((subnet): [string, string] => [`Subnet ${subnet.name}`, prefixOf(subnet)]),
          ]),
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
