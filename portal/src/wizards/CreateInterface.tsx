// Create network interface: in a subnet of a network of its region, with a private address that is given or chosen.

import type { ReactNode } from "react";

import { sameId } from "../arm/ids";
import { contains, parseAddress, parseNet } from "../arm/nets";
import { nameError, required } from "../forms/checks";
import { DropdownField, RadioField, TextField } from "../forms/fields";
import { useForm } from "../forms/form";
import { groupError } from "../forms/project";
import { Wizard } from "../forms/Wizard";
import { browsePath } from "../shell/router";
import { tagsError, tagsOf } from "../forms/tags";
import { groupOf, inGroup, names, tagsReview, useAll, useProject, useProjectReview } from "./basics";
import { deploymentSteps, idIn, validateDeployment, type Planned, type Wanted } from "./deployment";
import { subnetsOf } from "./machine/values";
import { asNamed, Basics, tagsTab, type Named } from "./parts";
import { NONE, PickField, pickedId, pickText, there, type Pick } from "./pick";
import { INTERFACE, NETWORK, SECURITY_GROUP } from "./shapes";

interface Values extends Named {
  readonly network: string | undefined;
  readonly subnet: string | undefined;
  readonly method: string;
  readonly address: string;
  readonly securityGroup: Pick;
}

function addressError(address: string, prefix: string): string | undefined {
  const first = parseAddress(address);
  if (first === undefined) return "Enter an IPv4 address, such as 10.0.0.10.";
  const net = parseNet(prefix);
  return net === undefined || contains(net, { first, length: 32 }) ? undefined : `The address is not within the subnet's range ${prefix}.`;
}

export default function CreateInterface({ known }: { known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const all = useAll(subscription, INTERFACE);
  const networks = useAll(subscription, NETWORK);
  const securityGroups = useAll(subscription, SECURITY_GROUP);
  const at = (entered: Values) => {
    const here = (networks ?? []).filter((found) => found.location === entered.region);
    const network = here.find((found) => sameId(found.id, entered.network)) ?? here[0];
    const subnets = network === undefined ? [] : subnetsOf(there(network.id), networks);
    return { here, network, subnets, subnet: subnets.find((found) => found.name === entered.subnet) ?? subnets[0] };
  };
  const form = useForm<Values>(
    { ...initial, name: "", network: known.get("network") ?? undefined, subnet: undefined, method: "Dynamic", address: "", securityGroup: NONE },
    (entered) => {
      const { network, subnet } = at(entered);
      return {
        group: groupError(entered.group),
        name: nameError(INTERFACE, entered.name, names(inGroup(all, entered.group))),
        network: networks !== undefined && network === undefined ? "There is no virtual network in this region." : undefined,
        subnet: network !== undefined && subnet === undefined ? "This virtual network has no subnet for network interfaces." : undefined,
        address: entered.method === "Static" ? (required(entered.address) ?? addressError(entered.address, subnet?.prefix ?? "")) : undefined,
        tags: tagsError(entered.tags),
      };
    },
  );
  const { values, set, change } = form;
  const { here, network, subnets, subnet } = at(values);
  const project = { ...values, subscription };
  const plan = (): Planned => {
    const common = { location: values.region, tags: tagsOf(values.tags) };
    const securityGroup = pickedId(values.securityGroup, SECURITY_GROUP, project);
    const made: Wanted[] = values.securityGroup.kind === "new" ? [{ ...common, type: SECURITY_GROUP, name: values.securityGroup.name, properties: { securityRules: [] } }] : [];
    const ip = {
      subnet: { id: `${network?.id}/subnets/${subnet?.name}` },
      privateIPAllocationMethod: values.method,
      ...(values.method === "Static" ? { privateIPAddress: values.address.trim() } : {}),
    };
    const nic: Wanted = {
      ...common,
      type: INTERFACE,
      name: values.name,
      properties: { ipConfigurations: [{ name: "ipconfig1", properties: ip }], ...(securityGroup === undefined ? {} : { networkSecurityGroup: { id: securityGroup } }) },
      after: made.length > 0 && securityGroup !== undefined ? [securityGroup] : [],
    };
    return { ...project, name: "Microsoft.NetworkInterface", resources: [...made, nic], main: idIn(project, INTERFACE, values.name) };
  };
  const wrong = form.errors.group ?? form.errors.name ?? form.errors.network ?? form.errors.subnet ?? form.errors.address;
  return (
    <Wizard
      title="Create network interface"
      crumbs={[{ text: "Network interfaces", to: browsePath(INTERFACE) }]}
      tabs={[
        {
          key: "basics",
          title: "Basics",
          wrong: Boolean(wrong),
          content: (
            <Basics form={asNamed(form)} subscription={subscription} onSubscription={setSubscription} lead="A network interface joins a virtual machine to a subnet. It is attached to a machine that is deallocated.">
              <DropdownField
                label="Virtual network"
                required
                value={network?.id}
                choices={here.map((found) => ({ value: found.id, text: found.name, about: groupOf(found) }))}
                onChange={(id) => change({ network: id, subnet: undefined })}
                error={form.errors.network}
              />
              <DropdownField
                label="Subnet"
                required
                value={subnet?.name}
                choices={subnets.map((found) => ({ value: found.name, text: `${found.name} (${found.prefix})` }))}
                onChange={(name) => set("subnet", name)}
                error={form.errors.subnet}
              />
              <RadioField
                label="Private IP address assignment"
                required
                value={values.method}
                choices={["Dynamic", "Static"].map((value) => ({ value, text: value }))}
                onChange={(method) => set("method", method)}
              />
              {values.method === "Static" && (
                <TextField label="Private IP address" required value={values.address} onChange={(address) => set("address", address)} onBlur={() => form.touch("address")} error={form.error("address")} />
              )}
              <PickField
                label="Network security group"
                type={SECURITY_GROUP}
                group={values.group}
                value={values.securityGroup}
                existing={(securityGroups ?? []).filter((found) => found.location === values.region)}
                all={securityGroups}
                none="None"
                onChange={(picked) => set("securityGroup", picked)}
              />
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
            ["Virtual network", network?.name ?? ""],
            ["Subnet", subnet === undefined ? "" : `${subnet.name} (${subnet.prefix})`],
            ["Private IP address assignment", values.method],
            ...(values.method === "Static" ? [["Private IP address", values.address] as [string, string]] : []),
            ["Network security group", pickText(values.securityGroup)],
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
