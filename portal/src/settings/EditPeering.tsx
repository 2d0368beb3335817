// A peering that is there: what it connects and how it stands, and the allowances of this network's half.

import type { ReactNode } from "react";

import { put, type Resource } from "../arm/client";
import { nameOf } from "../arm/ids";
import { Fixed, Section } from "../forms/fields";
import { useForm } from "../forms/form";
import { SidePanel } from "../forms/SidePanel";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { Name, visible } from "../shell/text";
import { AllowanceFields, quoted } from "./AddPeering";
import { syncStatus, type Allowances } from "./peerings";
import { property, ResourceLink } from "./Sublist";

export function EditPeering({ network, peering, onClose }: { network: Resource; peering: Resource; onClose: () => void }): ReactNode {
  const set = (name: keyof Allowances): boolean => property(peering, name) === "true";
  const form = useForm<Allowances>(
    {
      allowVirtualNetworkAccess: set("allowVirtualNetworkAccess"),
      allowForwardedTraffic: set("allowForwardedTraffic"),
      allowGatewayTransit: set("allowGatewayTransit"),
      useRemoteGateways: set("useRemoteGateways"),
    },
    () => ({}),
  );
  const there = property(peering, "remoteVirtualNetwork.id");
  const space = (peering.properties?.remoteVirtualNetworkAddressSpace ?? peering.properties?.remoteAddressSpace) as { addressPrefixes?: string[] } | undefined;
  const submit = async (): Promise<void> => {
    const words = { title: "Saving peering", done: "Saved peering", failed: "Failed to save peering", about: peering.name, to: resourcePath(network.id, "peerings") };
    await notified(words, () => put(peering.id, { properties: { ...peering.properties, ...form.values } }));
    form.release();
  };
  return (
    <SidePanel open title={visible(peering.name)} action="Save" onSubmit={submit} onClose={onClose}>
      <Section title="Peering">
        <Fixed label="Peering state">{property(peering, "peeringState") || "-"}</Fixed>
        <Fixed label="Peering sync status">{syncStatus(peering)}</Fixed>
        <Fixed label="Peering link name">
          <Name>{peering.name}</Name>
        </Fixed>
        <Fixed label="Remote virtual network">
          <ResourceLink id={there} />
        </Fixed>
        <Fixed label="Remote address space">{space?.addressPrefixes?.join(", ") ?? "-"}</Fixed>
      </Section>
      <Section title="Local virtual network peering settings">
        <AllowanceFields mine={quoted(network.name)} other={quoted(nameOf(there))} values={form.values} onChange={(values) => form.change(values)} />
      </Section>
    </SidePanel>
  );
}
