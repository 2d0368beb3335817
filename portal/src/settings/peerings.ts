// What peerings are to the forms: the four allowances of a half under Azure's words, both halves written and removed together,
// and a half brought up to date with the other network's address space.

import { ArmError, get, list, put, remove, type Resource } from "../arm/client";
import { parseId, sameId } from "../arm/ids";
import { property } from "./Sublist";

export const PEERING = "Microsoft.Network/virtualNetworks/virtualNetworkPeerings";
export const NETWORK = "Microsoft.Network/virtualNetworks";

export interface Allowances {
  readonly allowVirtualNetworkAccess: boolean;
  readonly allowForwardedTraffic: boolean;
  readonly allowGatewayTransit: boolean;
  readonly useRemoteGateways: boolean;
}

export const DEFAULTS: Allowances = {
  allowVirtualNetworkAccess: true,
  allowForwardedTraffic: false,
  allowGatewayTransit: false,
  useRemoteGateways: false,
};

/** What each allowance is called, of the half of `mine` towards `other`; both already in quotes where they are names. */
export function allowanceLabels(mine: string, other: string): readonly (readonly [keyof Allowances, string])[] {
  const possessive = other.endsWith("'") ? `${other.slice(0, -1)}'s'` : `${other}'s`;
  return [
    ["allowVirtualNetworkAccess", `Allow ${mine} to access ${other}`],
    ["allowForwardedTraffic", `Allow ${mine} to receive forwarded traffic from ${other}`],
    ["allowGatewayTransit", `Allow gateway or route server in ${mine} to forward traffic to ${other}`],
    ["useRemoteGateways", `Enable ${mine} to use ${possessive} remote gateway or route server`],
  ];
}

export interface Half {
  readonly network: string;
  readonly name: string;
  readonly allowances: Allowances;
}

export function halfId({ network, name }: { network: string; name: string }): string {
  return `${network}/virtualNetworkPeerings/${name}`;
}

/** Write both halves. Where the second is refused the first is taken back: nothing stays half made. */
export async function putBoth(local: Half, remote: Half): Promise<void> {
  const body = (half: Half, other: string): unknown => ({ properties: { ...half.allowances, remoteVirtualNetwork: { id: other } } });
  await put(halfId(local), body(local, remote.network));
  try {
    await put(halfId(remote), body(remote, local.network));
  } catch (error) {
    await remove(halfId(local)).catch(() => undefined);
    throw error;
  }
}

/** The other network's peering towards this one's; undefined where there is none, or none to be seen. */
export async function otherHalf(peering: Resource): Promise<Resource | undefined> {
  const here = parseId(peering.id)?.parent;
  const there = property(peering, "remoteVirtualNetwork.id");
  try {
    const found = await list<Resource>(`${there}/virtualNetworkPeerings`);
    return found.find((one) => sameId(property(one, "remoteVirtualNetwork.id"), here));
  } catch (error) {
    if (error instanceof ArmError && (error.status === 404 || error.status === 403)) return undefined;
    throw error;
  }
}

/** Delete a peering and its other half, as Azure's portal does. */
export async function removeBoth(peering: Resource): Promise<void> {
  // The rows of a list may be old, and of a network that has been made anew since.
  const newest = await get<Resource>(peering.id);
  const other = await otherHalf(newest);
  await remove(peering.id);
  if (other !== undefined) await remove(other.id);
}

/** Whether a half, or the one facing it, does not know the other network's address space as it is now. */
export function outOfSync(peering: Resource): boolean {
  return property(peering, "peeringState") === "Connected" && property(peering, "peeringSyncLevel") !== "FullyInSync";
}

/** Bring those halves up to date that are not. */
export async function sync(peering: Resource): Promise<void> {
  const level = property(peering, "peeringSyncLevel");
  const again = (half: Resource): Promise<unknown> => put(half.id, { properties: half.properties }, { query: { syncRemoteAddressSpace: "true" } });
  if (level !== "RemoteNotInSync") await again(peering);
  if (level !== "LocalNotInSync") {
    const other = await otherHalf(peering);
    if (other !== undefined) await again(other);
  }
}

const LEVELS: Record<string, string> = {
  FullyInSync: "Fully Synchronized",
  RemoteNotInSync: "Remote sync required",
  LocalNotInSync: "Local sync required",
  LocalAndRemoteNotInSync: "Sync required",
};

export function syncStatus(peering: Resource): string {
  const level = property(peering, "peeringSyncLevel");
  return LEVELS[level] ?? (level || "-");
}
