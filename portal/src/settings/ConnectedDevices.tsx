// What is connected to a virtual network: every IP configuration in its subnets.

import { useMemo, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useList } from "../arm/hooks";
import { nameOf, parseId } from "../arm/ids";
import { singularOf } from "../arm/types";
import type { ResourceProps } from "../pages/registry";
import { Failure, Loading } from "../shell/Blade";
import { Name } from "../shell/text";
import { objects, refId } from "./change";
import { configurations, NIC } from "./Interface";
import { property, ResourceLink } from "./Sublist";
import { PlainTable } from "./Table";

interface Device {
  readonly id: string;
  readonly address: string;
  readonly subnet: string;
}

export default function ConnectedDevices({ id, resource }: ResourceProps): ReactNode {
  const nics = useList<Resource>(`/subscriptions/${id.subscription}/providers/${NIC}`);
  const rows = useMemo(() => {
    const addresses = new Map((nics.data ?? []).flatMap(configurations).map((one) => [one.id.toLowerCase(), property(one, "privateIPAddress")]));
    return (objects(resource.properties, "subnets") as unknown as Resource[]).flatMap((subnet) =>
      objects(subnet.properties, "ipConfigurations").map((one): Device => {
        const configuration = refId(one) ?? "";
        return { id: parseId(configuration)?.parent ?? configuration, address: addresses.get(configuration.toLowerCase()) ?? "-", subnet: subnet.name };
      }),
    );
  }, [resource, nics.data]);
  if (nics.error) return <Failure error={nics.error} />;
  if (nics.data === undefined) return <Loading />;
  return (
    <PlainTable
      label="Connected devices"
      rows={rows}
      empty="No connected devices"
      columns={[
        { title: "Device", cell: (row) => <ResourceLink id={row.id} text={nameOf(row.id)} /> },
        { title: "Type", cell: (row) => singularOf(parseId(row.id)?.type ?? "") },
        { title: "IP address", cell: (row) => row.address },
        { title: "Subnet", cell: (row) => <Name>{row.subnet}</Name> },
      ]}
    />
  );
}
