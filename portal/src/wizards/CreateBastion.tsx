// Create a Bastion: in a virtual network, whose AzureBastionSubnet is made first where it is missing.

import type { ReactNode } from "react";

import { put, type Resource } from "../arm/client";
import { sameId } from "../arm/ids";
import { formatNet, nextFree, parseNet } from "../arm/nets";
import { nameError } from "../forms/checks";
import { CheckboxField, DropdownField, Fixed } from "../forms/fields";
import { useForm } from "../forms/form";
import { groupError } from "../forms/project";
import { Wizard, type Step } from "../forms/Wizard";
import { browsePath } from "../shell/router";
import { tagsError, tagsOf } from "../forms/tags";
import { groupOf, inGroup, names, tagsReview, useAll, useProject, useProjectReview } from "./basics";
import { deploymentSteps, idIn, validateDeployment, type Planned, type Wanted } from "./deployment";
import { BASTION_SUBNET, spacesOf } from "./network/plan";
import { asNamed, Basics, tagsTab, type Named } from "./parts";
import { fresh, NONE, PickField, pickedId, pickText, type Pick } from "./pick";
import { addressSku, BASTION, bastionProperties, freeForBastion, NETWORK, PUBLIC_IP } from "./shapes";

interface Values extends Named {
  readonly tier: string;
  readonly count: string;
  readonly network: string | undefined;
  readonly address: Pick;
  readonly tunneling: boolean;
  readonly ipConnect: boolean;
  readonly copyPaste: boolean;
}

interface Place {
  readonly prefix: string;
  readonly isNew: boolean;
}

/** The subnet for Bastion: the network's own, or a free /26 of its address spaces; undefined where there is no room. */
function placeIn(network: Resource | undefined): Place | undefined {
  if (network === undefined) return undefined;
  const subnets = (network.properties?.subnets ?? []) as { name: string; properties: { addressPrefix?: string; addressPrefixes?: string[] } }[];
  const prefixes = (subnet: (typeof subnets)[number]): string[] => subnet.properties.addressPrefixes ?? (subnet.properties.addressPrefix === undefined ? [] : [subnet.properties.addressPrefix]);
  const there = subnets.find((subnet) => subnet.name.toLowerCase() === BASTION_SUBNET.toLowerCase());
  if (there !== undefined) return { prefix: prefixes(there).join(", "), isNew: false };
  const taken = subnets.flatMap(prefixes).map(parseNet).filter((net) => net !== undefined);
  for (const space of spacesOf(network)) {
    const free = nextFree(space, 26, taken);
    if (free !== undefined) return { prefix: formatNet(free), isNew: true };
  }
  return undefined;
}

export default function CreateBastion({ known }: { known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const all = useAll(subscription, BASTION);
  const networks = useAll(subscription, NETWORK);
  const publicIps = useAll(subscription, PUBLIC_IP);
  const at = (entered: Values) => {
    const here = (networks ?? []).filter((found) => found.location === entered.region);
    const network = here.find((found) => sameId(found.id, entered.network)) ?? (entered.network === undefined ? here[0] : undefined);
    return { here, network, place: placeIn(network) };
  };
  const form = useForm<Values>(
    { ...initial, name: "", tier: "Basic", count: "2", network: known.get("network") ?? undefined, address: NONE, tunneling: false, ipConnect: false, copyPaste: true },
    (entered) => {
      const { network, place } = at(entered);
      const other = (all ?? []).find((host) => ((host.properties?.ipConfigurations ?? []) as { properties: { subnet?: { id?: string } } }[]).some((one) => sameId(one.properties.subnet?.id, `${network?.id}/subnets/${BASTION_SUBNET}`)));
      const missing = networks !== undefined && network === undefined ? "Select a virtual network. There may be none in this region." : undefined;
      const full = network !== undefined && place === undefined ? `The virtual network has no room for a subnet ${BASTION_SUBNET} of 64 addresses: add an address space.` : undefined;
      const twice = network !== undefined && other !== undefined ? `The virtual network has a Bastion host already: ${other.name}.` : undefined;
      return {
        group: groupError(entered.group),
        name: nameError(BASTION, entered.name, names(inGroup(all, entered.group))),
        network: missing ?? twice ?? full,
        tags: tagsError(entered.tags),
      };
    },
  );
  const { values, set, change } = form;
  const { here, network, place } = at(values);
  const project = { ...values, subscription };
  const address = values.address.kind === "none" ? fresh(`${values.name === "" ? (network?.name ?? "vnet") : values.name}-ip`) : values.address;
  const basic = values.tier === "Basic";
  const subnetId = `${network?.id}/subnets/${BASTION_SUBNET}`;
  const plan = (): Planned => {
    const common = { location: values.region, tags: tagsOf(values.tags) };
    const publicIp = pickedId(address, PUBLIC_IP, project)!;
    const features = basic ? {} : { enableTunneling: values.tunneling, enableIpConnect: values.ipConnect, disableCopyPaste: !values.copyPaste };
    const host: Wanted = {
      ...common,
      type: BASTION,
      name: values.name,
      sku: { name: values.tier },
      properties: { ...bastionProperties(subnetId, publicIp), scaleUnits: basic ? 2 : Number(values.count), ...features },
      after: address.kind === "new" ? [publicIp] : [],
    };
    const made: Wanted[] = address.kind === "new" ? [{ ...common, type: PUBLIC_IP, name: address.name, sku: addressSku("Standard"), properties: { publicIPAllocationMethod: "Static" } }] : [];
    return { ...project, name: "Microsoft.BastionHost", resources: [...made, host], main: idIn(project, BASTION, values.name) };
  };
  /** The subnet is the network's, whose group may be another. */
  const subnetStep = (): Step[] =>
    place?.isNew ? [{ id: subnetId, type: `${NETWORK}/subnets`, name: BASTION_SUBNET, run: () => put(subnetId, { properties: { addressPrefix: place.prefix } }) }] : [];
  return (
    <Wizard
      title="Create a Bastion"
      crumbs={[{ text: "Bastion hosts", to: browsePath(BASTION) }]}
      tabs={[
        {
          key: "basics",
          title: "Basics",
          wrong: Boolean(form.errors.group ?? form.errors.name ?? form.errors.network),
          content: (
            <Basics form={asNamed(form)} subscription={subscription} onSubscription={setSubscription} lead="Azure Bastion opens terminals on the virtual machines of a network and of those peered with it, by their private addresses.">
              <DropdownField
                label="Tier"
                required
                value={values.tier}
                choices={["Basic", "Standard", "Premium"].map((value) => ({ value, text: value }))}
                onChange={(tier) => change({ tier, ...(tier === "Basic" ? { count: "2" } : {}) })}
              />
              <DropdownField label="Instance count" required disabled={basic} value={values.count} choices={Array.from({ length: 49 }, (_, n) => String(n + 2)).map((value) => ({ value, text: value }))} onChange={(count) => set("count", count)} />
              <DropdownField
                label="Virtual network"
                required
                value={network?.id}
                choices={here.map((found) => ({ value: found.id, text: found.name, about: groupOf(found) }))}
                onChange={(id) => set("network", id)}
                error={form.errors.network}
              />
              <Fixed label="Subnet">{place === undefined ? "-" : `${place.isNew ? "(New) " : ""}${BASTION_SUBNET} (${place.prefix})`}</Fixed>
              <PickField
                label="Public IP address"
                required
                type={PUBLIC_IP}
                group={values.group}
                value={address}
                existing={(publicIps ?? []).filter((found) => found.location === values.region && freeForBastion(found))}
                all={publicIps}
                onChange={(picked) => set("address", picked)}
              />
            </Basics>
          ),
        },
        {
          key: "advanced",
          title: "Advanced",
          wrong: false,
          content: (
            <>
              <p className="lead">{basic ? "These features need the tier Standard or Premium." : "What clients may do by way of this Bastion host."}</p>
              <CheckboxField label="Copy and paste" checked={values.copyPaste} disabled={basic} onChange={(on) => set("copyPaste", on)} />
              <CheckboxField label="IP-based connection" checked={!basic && values.ipConnect} disabled={basic} onChange={(on) => set("ipConnect", on)} />
              <CheckboxField label="Native client support" checked={!basic && values.tunneling} disabled={basic} onChange={(on) => set("tunneling", on)} info="az network bastion ssh and tunnel" />
            </>
          ),
        },
        tagsTab(asNamed(form)),
      ]}
      review={[
        {
          title: "Basics",
          values: [
            ...reviewed(project, "Name", values.name),
            ["Tier", values.tier],
            ["Instance count", values.count],
            ["Virtual network", network?.name ?? ""],
            ["Subnet", place === undefined ? "" : `${place.isNew ? "(New) " : ""}${BASTION_SUBNET} (${place.prefix})`],
            ["Public IP address", pickText(address)],
          ],
        },
        ...tagsReview(values.tags),
      ]}
      check={() => form.check()}
      validate={() => validateDeployment(plan())}
      steps={() => withSubnet(deploymentSteps(plan()), subnetStep())}
      onSent={form.release}
    />
  );
}

/** The subnet before the deployment, which is the last step. */
function withSubnet(steps: Step[], subnet: Step[]): Step[] {
  return [...steps.slice(0, -1), ...subnet, ...steps.slice(-1)];
}
