// The pages of network interfaces, public IP addresses and Bastion hosts, and what their overviews say.

import { ChartMultiple20Regular, LinkDismiss20Regular, PlugConnected20Regular, Settings20Regular, Shield20Regular, ShieldTask20Regular, Router20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import type { Resource } from "../arm/client";
import { parseId } from "../arm/ids";
import { register, type Essential } from "../pages/registry";
import { change, object, objects, refId, saving } from "./change";
import { property } from "./Sublist";

const NIC = "Microsoft.Network/networkInterfaces";
const PUBLIC = "Microsoft.Network/publicIPAddresses";
const BASTION = "Microsoft.Network/bastionHosts";
const group = "Settings" as const;

const nicPage = (name: "IpConfigurations" | "InterfaceGroup") => lazy(() => import("./Interface").then((page) => ({ default: page[name] })));
const effective = (name: "EffectiveRoutes" | "EffectiveRules") => lazy(() => import("./Effective").then((page) => ({ default: page[name] })));

register.menu(
  { type: NIC, key: "ipConfigurations", title: "IP configurations", group, icon: PlugConnected20Regular, order: 40, component: nicPage("IpConfigurations") },
  { type: NIC, key: "networkSecurityGroup", title: "Network security group", group, icon: Shield20Regular, order: 41, component: nicPage("InterfaceGroup") },
  { type: NIC, key: "metrics", title: "Metrics", group: "Monitoring", icon: ChartMultiple20Regular, order: 70, component: lazy(() => import("./Metrics")) },
  { type: NIC, key: "effectiveRules", title: "Effective security rules", group: "Help", icon: ShieldTask20Regular, order: 95, component: effective("EffectiveRules") },
  { type: NIC, key: "effectiveRoutes", title: "Effective routes", group: "Help", icon: Router20Regular, order: 96, component: effective("EffectiveRoutes") },
  { type: PUBLIC, key: "configuration", title: "Configuration", group, icon: Settings20Regular, order: 40, component: lazy(() => import("./PublicAddress")) },
  { type: BASTION, key: "configuration", title: "Configuration", group, icon: Settings20Regular, order: 40, component: lazy(() => import("./Bastion")) },
);

type Links = { id: string; text?: string }[];
const link = (...ids: (string | undefined)[]): Links => ids.flatMap((id) => (id === undefined || id === "" ? [] : [{ id }]));
const first = (resource: Resource): Resource => (objects(resource.properties, "ipConfigurations")[0] ?? { properties: {} }) as unknown as Resource;
const subnetOf = (resource: Resource): string | undefined => refId(first(resource).properties?.subnet);
const essentials = (type: string, lines: Record<string, Essential["value"]>): void => register.essential(...Object.entries(lines).map(([title, value]) => ({ type, title, value })));

/** The interface of an IP configuration's id. */
const ownerOf = (configuration: string | undefined): string | undefined => (configuration === undefined ? undefined : parseId(configuration)?.parent);

essentials(NIC, {
  "Private IPv4 address": (nic) => property(first(nic), "privateIPAddress"),
  "Public IPv4 address": (nic) => link(refId(first(nic).properties?.publicIPAddress)),
  "Virtual network/subnet": (nic) => link(parseId(subnetOf(nic) ?? "")?.parent, subnetOf(nic)),
  "Network security group": (nic) => link(refId(nic.properties?.networkSecurityGroup)),
  "Attached to": (nic) => link(property(nic, "virtualMachine.id")),
  "IP forwarding": (nic) => (property(nic, "enableIPForwarding") === "true" ? "Enabled" : "Disabled"),
  "MAC address": (nic) => property(nic, "macAddress"),
});

essentials(PUBLIC, {
  SKU: (one) => one.sku?.name,
  Tier: (one) => one.sku?.tier,
  "IP address": (one) => property(one, "ipAddress"),
  "DNS name": (one) => property(one, "dnsSettings.fqdn"),
  "Associated to": (one) => link(ownerOf(refId(one.properties?.ipConfiguration))),
  "IP address assignment": (one) => property(one, "publicIPAllocationMethod"),
});

essentials(BASTION, {
  Tier: (host) => host.sku?.name,
  "Virtual network/subnet": (host) => link(parseId(subnetOf(host) ?? "")?.parent, subnetOf(host)),
  "Public IP address": (host) => link(refId(first(host).properties?.publicIPAddress)),
  "Public DNS name": (host) => property(host, "dnsName"),
});

essentials("Microsoft.Network/virtualNetworks", {
  "Address space": (network) => ((object(network.properties?.addressSpace).addressPrefixes as string[] | undefined) ?? []).join(", "),
  Subnets: (network) => `${objects(network.properties, "subnets").length} subnets`,
  "DNS servers": (network) => ((object(network.properties?.dhcpOptions).dnsServers as string[] | undefined) ?? []).join(", ") || "Azure provided DNS service",
  Peerings: (network) => String(objects(network.properties, "virtualNetworkPeerings").length),
});

essentials("Microsoft.Network/networkSecurityGroups", {
  "Custom security rules": (one) => {
    const rules = objects(one.properties, "securityRules").map((rule) => object(rule.properties).direction);
    return `${rules.filter((way) => way === "Inbound").length} inbound, ${rules.filter((way) => way === "Outbound").length} outbound`;
  },
  "Associated with": (one) => `${objects(one.properties, "subnets").length} subnets, ${objects(one.properties, "networkInterfaces").length} network interfaces`,
});

essentials("Microsoft.Network/routeTables", {
  Associations: (table) => `${objects(table.properties, "subnets").length} subnet associations`,
});

register.command({
  type: PUBLIC,
  key: "dissociate",
  title: "Dissociate",
  icon: LinkDismiss20Regular,
  order: 20,
  permission: `${NIC}/write`,
  enabled: (address) => /\/networkInterfaces\//i.test(refId(address.properties?.ipConfiguration) ?? ""),
  run: (address) => {
    const configuration = refId(address.properties?.ipConfiguration) ?? "";
    const away = async (): Promise<void> => {
      await change(configuration.split(/\/ipConfigurations\//i)[0]!, (properties) => {
        for (const one of objects(properties, "ipConfigurations")) {
          const inner = object(one.properties);
          if (refId(inner.publicIPAddress)?.toLowerCase() === address.id.toLowerCase()) delete inner.publicIPAddress;
        }
      });
    };
    void saving("public IP address", address, undefined, away).catch(() => undefined);
    return undefined;
  },
});
