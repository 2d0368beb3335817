// Security rules between the form of Azure's portal and the API: sources, services, ports, names and priorities.

import type { Json, Resource } from "../arm/client";
import { nameOf } from "../arm/ids";
import { objects, parts, refId } from "./change";
import { property } from "./Sublist";

export const SECURITY_GROUP = "Microsoft.Network/networkSecurityGroups";
export const RULE = `${SECURITY_GROUP}/securityRules`;

export type Direction = "Inbound" | "Outbound";

export interface RuleValues {
  source: string;
  sourceAddresses: string;
  sourceTag: string;
  /** Ids of application security groups. */
  sourceGroups: readonly string[];
  sourcePorts: string;
  destination: string;
  destinationAddresses: string;
  destinationTag: string;
  destinationGroups: readonly string[];
  service: string;
  destinationPorts: string;
  protocol: string;
  action: string;
  priority: string;
  name: string;
  description: string;
}

/** What a source or destination can be. */
export const GROUPS = "Application security group";
export const PLACES = ["Any", "IP Addresses", "Service Tag", GROUPS] as const;
export const TAGS = ["Internet", "VirtualNetwork", "AzureLoadBalancer", "AzureCloud", "Storage", "Sql", "AzureActiveDirectory", "AzureMonitor", "AzureKeyVault"] as const;

export const PROTOCOLS = [
  { value: "*", text: "Any" },
  { value: "Tcp", text: "TCP" },
  { value: "Udp", text: "UDP" },
  { value: "Icmp", text: "ICMP" },
  { value: "Esp", text: "ESP" },
  { value: "Ah", text: "AH" },
] as const;

/** Services and what they set: ports, protocol. */
export const SERVICES: Readonly<Record<string, readonly [string, string] | undefined>> = {
  Custom: undefined,
  HTTP: ["80", "Tcp"],
  HTTPS: ["443", "Tcp"],
  SSH: ["22", "Tcp"],
  RDP: ["3389", "Tcp"],
  "DNS (TCP)": ["53", "Tcp"],
  "DNS (UDP)": ["53", "Udp"],
  SMTP: ["25", "Tcp"],
  "MS SQL": ["1433", "Tcp"],
  MySQL: ["3306", "Tcp"],
  PostgreSQL: ["5432", "Tcp"],
  WinRM: ["5986", "Tcp"],
};

/** A new rule as the form shows it first: the next priority that is free, by steps of ten. */
export function fresh(direction: Direction, rules: readonly Resource[]): RuleValues {
  const taken = new Set(rules.filter((rule) => property(rule, "direction") === direction).map((rule) => Number(property(rule, "priority"))));
  let priority = 100;
  while (taken.has(priority) && priority < 4096) priority += 10;
  const values: RuleValues = {
    ...{ source: "Any", sourceAddresses: "", sourceTag: "Internet", sourceGroups: [], sourcePorts: "*" },
    ...{ destination: "Any", destinationAddresses: "", destinationTag: "VirtualNetwork", destinationGroups: [] },
    ...{ service: "Custom", destinationPorts: "8080", protocol: "*", action: "Allow", priority: String(priority), name: "", description: "" },
  };
  return { ...values, name: proposedName(values, direction) };
}

/** As Azure's portal names a rule until it is named: `AllowAnySSHInbound`. What it calls groups there could not be confirmed. */
export function proposedName(values: RuleValues, direction: Direction): string {
  const place = direction === "Inbound" ? values.source : values.destination;
  const tag = direction === "Inbound" ? values.sourceTag : values.destinationTag;
  const where = place === "Any" ? "Any" : place === "IP Addresses" ? "CidrBlock" : place === GROUPS ? "Asg" : `Tag${tag.replace(/[^A-Za-z0-9]/g, "")}`;
  const what = values.service === "Custom" ? `Custom${values.destinationPorts.replace(/\*/g, "Any").replace(/[^A-Za-z0-9-]/g, "")}` : values.service.replace(/[^A-Za-z0-9]/g, "");
  return `${values.action}${where}${what}${direction}`;
}

function groupsOf(properties: Json, side: "source" | "destination"): string[] {
  return objects(properties, `${side}ApplicationSecurityGroups`).flatMap((one) => refId(one) ?? []);
}

function placeOf(properties: Json, side: "source" | "destination"): { place: string; addresses: string; tag: string } {
  if (groupsOf(properties, side).length > 0) return { place: GROUPS, addresses: "", tag: "Internet" };
  const many = properties[`${side}AddressPrefixes`];
  const one = properties[`${side}AddressPrefix`];
  const found = typeof one === "string" ? [one] : Array.isArray(many) ? (many as string[]) : [];
  const [first] = found;
  if (found.length === 1 && (first === "*" || first === "0.0.0.0/0" || first === "Any")) return { place: "Any", addresses: "", tag: "Internet" };
  if (found.length === 1 && first !== undefined && !/^[0-9a-f.:/-]+$/i.test(first)) return { place: "Service Tag", addresses: "", tag: first };
  return { place: "IP Addresses", addresses: found.join(", "), tag: "Internet" };
}

function portsOf(properties: Json, side: "source" | "destination"): string {
  const one = properties[`${side}PortRange`];
  const many = properties[`${side}PortRanges`];
  return typeof one === "string" ? one : Array.isArray(many) ? (many as string[]).join(",") : "*";
}

/** A rule that is there, in the form. */
export function valuesOf(rule: Resource): RuleValues {
  const properties = rule.properties ?? {};
  const source = placeOf(properties, "source");
  const destination = placeOf(properties, "destination");
  const ports = portsOf(properties, "destination");
  const protocol = property(rule, "protocol");
  const service = Object.entries(SERVICES).find(([, preset]) => preset !== undefined && preset[0] === ports && preset[1] === protocol)?.[0] ?? "Custom";
  return {
    ...{ source: source.place, sourceAddresses: source.addresses, sourceTag: source.tag, sourceGroups: groupsOf(properties, "source"), sourcePorts: portsOf(properties, "source") },
    ...{ destination: destination.place, destinationAddresses: destination.addresses, destinationTag: destination.tag, destinationGroups: groupsOf(properties, "destination") },
    ...{ service, destinationPorts: ports, protocol, action: property(rule, "access"), priority: property(rule, "priority") },
    ...{ name: rule.name, description: property(rule, "description") },
  };
}

/** One value in Azure's singular member, several in its plural one. */
function singleOrSeveral(name: string, several: string, values: readonly string[]): Json {
  return values.length === 1 ? { [name]: values[0] } : { [several]: values };
}

/** The rule as the API takes it. */
export function propertiesOf(values: RuleValues, direction: Direction): Json {
  const place = (side: "source" | "destination"): Json => {
    const kind = values[side];
    if (kind === GROUPS) return { [`${side}ApplicationSecurityGroups`]: values[`${side}Groups`].map((id) => ({ id })) };
    const prefixes = kind === "Any" ? ["*"] : kind === "Service Tag" ? [values[`${side}Tag`]] : parts(values[`${side}Addresses`]);
    return singleOrSeveral(`${side}AddressPrefix`, `${side}AddressPrefixes`, prefixes);
  };
  return {
    ...place("source"),
    ...singleOrSeveral("sourcePortRange", "sourcePortRanges", parts(values.sourcePorts)),
    ...place("destination"),
    ...singleOrSeveral("destinationPortRange", "destinationPortRanges", parts(values.destinationPorts)),
    ...(values.description === "" ? {} : { description: values.description }),
    protocol: values.protocol,
    access: values.action,
    priority: Number(values.priority),
    direction,
  };
}

export function portsError(text: string): string | undefined {
  const found = parts(text);
  if (found.length === 0) return "The value must not be empty.";
  const good = found.every((part) => {
    if (part === "*") return found.length === 1;
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    return range !== null && Number(range[2] ?? range[1]) <= 65535 && Number(range[1]) <= Number(range[2] ?? range[1]);
  });
  return good ? undefined : "Provide a port, such as 80; a range, such as 1024-65535; a list of them by commas; or * for any.";
}

export function addressesError(text: string): string | undefined {
  const found = parts(text);
  if (found.length === 0) return "The value must not be empty.";
  const good = found.every((part) => /^\d{1,3}(\.\d{1,3}){3}(\/\d{1,2}|-\d{1,3}(\.\d{1,3}){3})?$/.test(part) || /^[0-9a-f:]+(\/\d{1,3})?$/i.test(part));
  return good ? undefined : "Provide addresses or ranges in CIDR notation, such as 192.168.99.0/24, by commas.";
}

/** Of the rules of one direction, those that `priority` would clash with. */
export function priorityError(text: string, direction: Direction, others: readonly Resource[]): string | undefined {
  const priority = Number(text);
  if (!/^\d+$/.test(text) || priority < 100 || priority > 4096) return "The value must be between 100 and 4096.";
  const clash = others.find((rule) => property(rule, "direction") === direction && Number(property(rule, "priority")) === priority);
  return clash === undefined ? undefined : `The priority is that of rule '${clash.name}'. It must be unique.`;
}

/** A side or a port of a rule as the list says it. */
export function shown(rule: Resource, side: "source" | "destination", what: "Address" | "Port"): string {
  const properties = rule.properties ?? {};
  if (what === "Port") return portsOf(properties, side) === "*" ? "Any" : portsOf(properties, side);
  const { place, addresses, tag } = placeOf(properties, side);
  if (place === GROUPS) return groupsOf(properties, side).map(nameOf).join(", ");
  return place === "Any" ? "Any" : place === "Service Tag" ? tag : addresses;
}

export function protocolName(rule: Resource): string {
  const protocol = property(rule, "protocol");
  return PROTOCOLS.find((one) => one.value === protocol)?.text ?? protocol;
}
