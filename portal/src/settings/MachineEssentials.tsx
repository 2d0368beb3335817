// The lines of a machine's overview that other resources know: its power now, its addresses, where it stands.

import type { ReactNode } from "react";

import { changed, get, type Resource } from "../arm/client";
import { useLoaded, useResource } from "../arm/hooks";
import { parseId } from "../arm/ids";
import { refId } from "./change";
import { configurations } from "./Interface";
import { interfacesOf, powerOf, statusOf } from "./machine";
import { property, ResourceLink, useEvery } from "./Sublist";

interface Props {
  readonly resource: Resource;
}

/** Asked again and again; a change of it reloads the page, whose buttons go by it. */
export function Status({ resource }: Props): ReactNode {
  const found = useLoaded<Resource>(`power ${resource.id.toLowerCase()}`, async (signal) => {
    const now = await get<Resource>(resource.id, { query: { $expand: "instanceView" }, signal });
    if (powerOf(now) !== powerOf(resource)) changed(resource.id);
    return now;
  });
  useEvery(3000, true, found.reload);
  return statusOf(found.data ?? resource);
}

function useConfiguration(machine: Resource): Resource | undefined {
  const nic = useResource(interfacesOf(machine)[0]).data;
  return nic === undefined ? undefined : configurations(nic)[0];
}

export function PrivateAddress({ resource }: Props): ReactNode {
  const found = useConfiguration(resource);
  return (found && property(found, "privateIPAddress")) || "-";
}

export function PublicAddress({ resource }: Props): ReactNode {
  const id = refId(useConfiguration(resource)?.properties?.publicIPAddress);
  const address = useResource(id).data;
  if (id === undefined) return "-";
  return <ResourceLink id={id} {...(address === undefined ? {} : { text: property(address, "ipAddress") || address.name })} />;
}

export function Place({ resource }: Props): ReactNode {
  const subnet = refId(useConfiguration(resource)?.properties?.subnet);
  if (subnet === undefined) return "-";
  const network = parseId(subnet)?.parent;
  return <ResourceLink {...(network === undefined ? { id: subnet } : { id: network, text: `${network.split("/").at(-1)}/${subnet.split("/").at(-1)}` })} />;
}
