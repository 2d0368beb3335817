// Network settings and disks of a virtual machine.

import type { ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useResource } from "../arm/hooks";
import { parseId } from "../arm/ids";
import { Fixed } from "../forms/fields";
import type { ResourceProps } from "../pages/registry";
import { Empty, Failure, Loading } from "../shell/Blade";
import { resourcePath } from "../shell/router";
import { Link, Name } from "../shell/text";
import { object, objects, refId } from "./change";
import { configurations } from "./Interface";
import { disksOf, interfacesOf } from "./machine";
import { protocolName, shown } from "./rules";
import { property, ResourceLink } from "./Sublist";
import { PlainTable } from "./Table";

export function Networking({ resource }: ResourceProps): ReactNode {
  const ids = interfacesOf(resource);
  if (ids.length === 0) return <Empty title="The machine has no network interface" />;
  return ids.map((id) => <Interface key={id} id={id} />);
}

function Interface({ id }: { id: string }): ReactNode {
  const found = useResource(id);
  const nic = found.data;
  if (found.error) return <Failure error={found.error} />;
  if (nic === undefined) return <Loading />;
  const subnet = refId(configurations(nic)[0]?.properties?.subnet);
  const group = refId(nic.properties?.networkSecurityGroup);
  return (
    <section className="settings" aria-label={nic.name}>
      <h2>
        Network interface: <ResourceLink id={nic.id} />
      </h2>
      <Fixed label="Virtual network / subnet">
        <ResourceLink id={subnet === undefined ? undefined : parseId(subnet)?.parent} /> / <ResourceLink id={subnet} />
      </Fixed>
      <Fixed label="IP forwarding">{property(nic, "enableIPForwarding") === "true" ? "Enabled" : "Disabled"}</Fixed>
      <Fixed label="Effective">
        <Link to={resourcePath(nic.id, "effectiveRules")}>Effective security rules</Link>, <Link to={resourcePath(nic.id, "effectiveRoutes")}>effective routes</Link>
      </Fixed>
      <PlainTable
        label={`IP configurations of ${nic.name}`}
        rows={configurations(nic)}
        columns={[
          { title: "IP configuration", cell: (row) => <Name>{row.name}</Name> },
          { title: "Private IP address", cell: (row) => property(row, "privateIPAddress") || "-" },
          { title: "Public IP address", cell: (row) => <ResourceLink id={refId(row.properties?.publicIPAddress)} /> },
        ]}
      />
      {group !== undefined && <Rules id={group} of="network interface" />}
      {subnet !== undefined && <SubnetRules id={subnet} />}
    </section>
  );
}

function SubnetRules({ id }: { id: string }): ReactNode {
  const group = refId(useResource(id).data?.properties?.networkSecurityGroup);
  return group === undefined ? null : <Rules id={group} of="subnet" />;
}

function Rules({ id, of }: { id: string; of: string }): ReactNode {
  const found = useResource(id);
  const group = found.data;
  if (found.error) return <Failure error={found.error} />;
  if (group === undefined) return <Loading />;
  const rules = [...objects(group.properties, "securityRules"), ...objects(group.properties, "defaultSecurityRules")] as unknown as Resource[];
  return ["Inbound", "Outbound"].map((direction) => (
    <div key={direction}>
      <h2>
        {direction} port rules of <ResourceLink id={group.id} /> ({of})
      </h2>
      <PlainTable
        label={`${direction} port rules of ${group.name}`}
        rows={rules.filter((rule) => property(rule, "direction") === direction).sort((one, two) => Number(property(one, "priority")) - Number(property(two, "priority")))}
        columns={[
          { title: "Priority", cell: (row) => property(row, "priority") },
          { title: "Name", cell: (row) => <Name>{row.name}</Name> },
          { title: "Port", cell: (row) => shown(row, "destination", "Port") },
          { title: "Protocol", cell: protocolName },
          { title: "Source", cell: (row) => <Name>{shown(row, "source", "Address")}</Name> },
          { title: "Destination", cell: (row) => <Name>{shown(row, "destination", "Address")}</Name> },
          { title: "Action", cell: (row) => property(row, "access") },
        ]}
      />
    </div>
  ));
}

export function Disks({ resource }: ResourceProps): ReactNode {
  const { osDisk, dataDisks } = disksOf(resource);
  const name = (disk: Record<string, unknown>): ReactNode => {
    const id = refId(disk.managedDisk);
    return id === undefined ? <Name>{String(disk.name ?? "-")}</Name> : <ResourceLink id={id} />;
  };
  const columns = [
    { title: "Disk name", cell: name },
    { title: "Storage type", cell: (disk: Record<string, unknown>) => String(object(disk.managedDisk).storageAccountType ?? "-") },
    { title: "Size (GiB)", cell: (disk: Record<string, unknown>) => String(disk.diskSizeGB ?? "-") },
    { title: "Host caching", cell: (disk: Record<string, unknown>) => String(disk.caching ?? "-") },
    { title: "Delete with VM", cell: (disk: Record<string, unknown>) => (disk.deleteOption === "Delete" ? "Yes" : "No") },
  ];
  return (
    <section className="settings">
      <h2>OS disk</h2>
      <PlainTable label="OS disk" rows={[osDisk]} columns={columns} />
      <h2>Data disks</h2>
      <PlainTable label="Data disks" rows={dataDisks} columns={[{ title: "LUN", cell: (disk: Record<string, unknown>) => String(disk.lun ?? "-") }, ...columns]} empty="No data disks attached" />
    </section>
  );
}
