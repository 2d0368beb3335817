// The form of a virtual machine: what is entered, what is proposed while it is not, what is wrong with it.

import type { Resource } from "../../arm/client";
import { sameId } from "../../arm/ids";
import { nameError } from "../../forms/checks";
import type { Errors } from "../../forms/form";
import { groupError } from "../../forms/project";
import { tagsError } from "../../forms/tags";
import { groupOf, inGroup, names, type Project } from "../basics";
import { fresh, NONE, there, type Pick } from "../pick";
import { MACHINE, NETWORK } from "../shapes";
import { confirmError, keyError, passwordError, userError } from "./account";
import { DEFAULT_SIZE, IMAGES } from "./choices";

/** A network that is made with the machine. */
export interface NewNetwork {
  readonly name: string;
  readonly prefix: string;
  readonly subnet: string;
  readonly subnetPrefix: string;
}

export interface Values extends Project {
  name: string;
  availability: string;
  zone: string;
  security: string;
  image: string;
  size: string;
  authentication: "password" | "key";
  user: string;
  password: string;
  confirmed: string;
  key: string;
  inbound: "none" | "selected";
  ports: readonly string[];
  diskType: string;
  diskSize: string;
  deleteDisk: boolean;
  /** Undefined while what is proposed is taken. */
  network: Pick | undefined;
  newNetwork: NewNetwork | undefined;
  /** Name of a subnet of a network that is there. */
  subnet: string | undefined;
  publicIp: Pick | undefined;
  protection: "none" | "basic" | "advanced";
  securityGroup: Pick;
  deleteInterface: boolean;
}

export function initialValues(initial: Project): Values {
  return {
    ...initial,
    name: "",
    availability: "none",
    zone: "1",
    security: "Standard",
    image: IMAGES[0]!.text,
    size: DEFAULT_SIZE,
    authentication: "password",
    user: "",
    password: "",
    confirmed: "",
    key: "",
    inbound: "selected",
    ports: ["22"],
    diskType: "Premium_LRS",
    diskSize: "",
    deleteDisk: true,
    network: undefined,
    newNetwork: undefined,
    subnet: undefined,
    publicIp: undefined,
    protection: "basic",
    securityGroup: NONE,
    deleteInterface: true,
  };
}

/** What the form is checked against: lists that may still be on their way. */
export interface Around {
  readonly machines: readonly Resource[] | undefined;
  readonly networks: readonly Resource[] | undefined;
}

/** The network that the machine will be in: the chosen one, else the first of its group and region, else a new one. */
export function networkOf(values: Values, networks: readonly Resource[] | undefined): Pick {
  const here = (networks ?? []).filter((found) => found.location === values.region);
  if (values.network?.kind === "new") return values.network;
  if (values.network?.kind === "there" && here.some((found) => values.network?.kind === "there" && sameId(found.id, values.network.id))) return values.network;
  const mine = here.find((found) => groupOf(found).toLowerCase() === values.group.name.toLowerCase());
  return mine === undefined ? fresh(values.newNetwork?.name ?? `${values.name === "" ? "vm" : values.name}-vnet`) : there(mine.id);
}

export interface SubnetOf {
  readonly name: string;
  readonly prefix: string;
}

/** The subnets of a network that take machines. */
export function subnetsOf(pick: Pick, networks: readonly Resource[] | undefined): SubnetOf[] {
  const network = pick.kind === "there" ? networks?.find((found) => sameId(found.id, pick.id)) : undefined;
  const subnets = (network?.properties?.subnets ?? []) as { name: string; properties: { addressPrefix?: string; addressPrefixes?: string[] } }[];
  return subnets
    .filter((subnet) => !["azurebastionsubnet", "gatewaysubnet"].includes(subnet.name.toLowerCase()))
    .map(({ name, properties }) => ({ name, prefix: properties.addressPrefix ?? properties.addressPrefixes?.join(", ") ?? "" }));
}

/** Chosen, or the first. */
export function subnetOf(values: Values, subnets: readonly SubnetOf[]): SubnetOf | undefined {
  return subnets.find((subnet) => subnet.name === values.subnet) ?? subnets[0];
}

export function publicIpOf(values: Values): Pick {
  return values.publicIp ?? fresh(`${values.name === "" ? "vm" : values.name}-ip`);
}

export function nameOfMachineError(values: Values, machines: readonly Resource[] | undefined): string | undefined {
  if (/^\d+$/.test(values.name)) return "The name cannot be digits alone.";
  return nameError(MACHINE, values.name, names(inGroup(machines, values.group)));
}

export function errorsOf(values: Values, { machines, networks }: Around): Errors<Values> {
  const password = values.authentication === "password";
  const network = networkOf(values, networks);
  return {
    group: groupError(values.group),
    name: nameOfMachineError(values, machines),
    security: values.security === "TrustedLaunch" && IMAGES.find((image) => image.text === values.image)?.generation === 1 ? "Trusted launch needs an image of generation 2." : undefined,
    user: userError(values.user),
    password: password ? passwordError(values.password) : undefined,
    confirmed: password ? confirmError(values.password, values.confirmed) : undefined,
    key: password ? undefined : keyError(values.key),
    ports: values.inbound === "selected" && values.ports.length === 0 ? "Select at least one port." : undefined,
    network: network.kind === "new" ? nameError(NETWORK, network.name, names(inGroup(networks, values.group))) : undefined,
    subnet: network.kind === "there" && networks !== undefined && subnetsOf(network, networks).length === 0 ? "This virtual network has no subnet for machines." : undefined,
    securityGroup: values.protection === "advanced" && values.securityGroup.kind === "none" ? "Select or create a network security group." : undefined,
    tags: tagsError(values.tags),
  };
}

/** The tabs' shares of what may be wrong. */
export const ON_BASICS = ["group", "name", "security", "user", "password", "confirmed", "key", "ports"] as const;
export const ON_NETWORKING = ["network", "subnet", "securityGroup"] as const;
