// Create a virtual machine: Basics, Disks, Networking, Tags, Review + create. The password leaves the form when it is sent.

import { useState, type ReactNode } from "react";

import { useList } from "../arm/hooks";
import { CheckboxField, DropdownField, Section } from "../forms/fields";
import { useForm, type Form } from "../forms/form";
import { Wizard } from "../forms/Wizard";
import { browsePath } from "../shell/router";
import { TagFields, tagsReview, useAll, useProject, useProjectReview } from "./basics";
import { deploymentSteps, validateDeployment } from "./deployment";
import { Basics } from "./machine/Basics";
import { AVAILABILITY, DISK_SIZES, DISK_TYPES, PORTS, SECURITY, takesPremium, type Size } from "./machine/choices";
import { Networking, newNetworkOf } from "./machine/Networking";
import { diskTypeOf, machinePlan, securityGroupOf } from "./machine/template";
import { errorsOf, initialValues, networkOf, ON_BASICS, ON_NETWORKING, publicIpOf, subnetOf, subnetsOf, type Values } from "./machine/values";
import { pickText } from "./pick";
import { MACHINE, NETWORK, PUBLIC_IP, SECURITY_GROUP } from "./shapes";
import "./wizards.css";

export default function CreateMachine({ known }: { known: URLSearchParams }): ReactNode {
  const { subscription, setSubscription, initial } = useProject(known);
  const reviewed = useProjectReview();
  const machines = useAll(subscription, MACHINE);
  const networks = useAll(subscription, NETWORK);
  const publicIps = useAll(subscription, PUBLIC_IP);
  const securityGroups = useAll(subscription, SECURITY_GROUP);
  const form = useForm<Values>(() => initialValues(initial), (entered) => errorsOf(entered, { machines, networks }));
  const { values } = form;
  const sizes = useList<Size>(`/subscriptions/${subscription}/providers/Microsoft.Compute/locations/${values.region}/vmSizes`).data ?? [];
  // Azure's portal puts three digits behind the machine's name, too.
  const [digits] = useState(() => String(100 + Math.floor(Math.random() * 900)));

  const newNetwork = newNetworkOf(values, networks);
  const plan = () => machinePlan(values, { subscription, networks, newNetwork, nic: `${values.name}${digits}` });
  const send = (): void => {
    form.change({ password: "", confirmed: "" });
    form.release();
  };
  const wrong = (names: readonly (keyof Values)[]): boolean => names.some((name) => Boolean(form.errors[name]));
  return (
    <Wizard
      title="Create a virtual machine"
      crumbs={[{ text: "Virtual machines", to: browsePath(MACHINE) }]}
      tabs={[
        { key: "basics", title: "Basics", wrong: wrong(ON_BASICS), content: <Basics form={form} subscription={subscription} onSubscription={setSubscription} sizes={sizes} /> },
        { key: "disks", title: "Disks", wrong: false, content: <Disks form={form} /> },
        { key: "networking", title: "Networking", wrong: wrong(ON_NETWORKING), content: <Networking form={form} lists={{ networks, publicIps, securityGroups }} /> },
        { key: "tags", title: "Tags", wrong: wrong(["tags"]), content: <TagFields rows={values.tags} onChange={(tags) => form.set("tags", tags)} error={form.error("tags")} /> },
      ]}
      review={[
        { title: "Basics", values: [...reviewed({ ...values, subscription }, "Virtual machine name", values.name), ...basicsReview(values)] },
        { title: "Disks", values: disksReview(values) },
        { title: "Networking", values: networkingReview(values, { networks, newNetwork }) },
        ...tagsReview(values.tags),
      ]}
      check={() => form.check()}
      validate={() => validateDeployment(plan())}
      steps={() => deploymentSteps(plan())}
      onSent={send}
    />
  );
}

function Disks({ form }: { form: Form<Values> }): ReactNode {
  const { values, set } = form;
  const types = DISK_TYPES.map((type) => ({ ...type, disabled: type.value === "Premium_LRS" && !takesPremium(values.size) }));
  return (
    <>
      <p className="lead">The disk of the operating system. Which types it can have depends on the size of the machine; data disks can be attached later.</p>
      <Section title="OS disk">
        <DropdownField label="OS disk size" value={values.diskSize} choices={DISK_SIZES} onChange={(value) => set("diskSize", value)} />
        <DropdownField label="OS disk type" required value={diskTypeOf(values)} choices={types} onChange={(value) => set("diskType", value)} />
        <CheckboxField label="Delete with VM" checked={values.deleteDisk} onChange={(checked) => set("deleteDisk", checked)} />
      </Section>
    </>
  );
}

type Pairs = [string, string][];

function textOf(choices: readonly { value: string; text: string }[], value: string): string {
  return choices.find((choice) => choice.value === value)?.text ?? value;
}

function yes(flag: boolean): string {
  return flag ? "Enabled" : "Disabled";
}

function basicsReview(values: Values): Pairs {
  const ports = PORTS.filter((port) => values.ports.includes(port.value)).map((port) => port.text);
  return [
    ["Availability options", textOf(AVAILABILITY, values.availability)],
    ...(values.availability === "zone" ? [["Availability zone", values.zone] as [string, string]] : []),
    ["Security type", textOf(SECURITY, values.security)],
    ["Image", values.image],
    ["VM architecture", "x64"],
    ["Size", values.size],
    ["Authentication type", values.authentication === "password" ? "Password" : "SSH public key"],
    ["Username", values.user],
    ["Public inbound ports", values.inbound === "none" ? "None" : ports.join(", ")],
  ];
}

function disksReview(values: Values): Pairs {
  return [
    ["OS disk size", textOf(DISK_SIZES, values.diskSize)],
    ["OS disk type", textOf(DISK_TYPES, diskTypeOf(values))],
    ["Delete OS disk with VM", yes(values.deleteDisk)],
  ];
}

function networkingReview(values: Values, { networks, newNetwork }: { networks: Parameters<typeof networkOf>[1]; newNetwork: ReturnType<typeof newNetworkOf> }): Pairs {
  const network = networkOf(values, networks);
  const subnet = network.kind === "new" ? { name: `(New) ${newNetwork.subnet}`, prefix: newNetwork.subnetPrefix } : subnetOf(values, subnetsOf(network, networks));
  const publicIp = publicIpOf(values);
  return [
    ["Virtual network", pickText(network)],
    ["Subnet", subnet === undefined ? "" : `${subnet.name} (${subnet.prefix})`],
    ["Public IP", pickText(publicIp)],
    ["NIC network security group", pickText(securityGroupOf(values))],
    [publicIp.kind === "none" ? "Delete NIC when VM is deleted" : "Delete public IP and NIC when VM is deleted", yes(values.deleteInterface)],
  ];
}
