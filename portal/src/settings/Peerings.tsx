// Peerings of a virtual network: their states, which refresh by themselves, and the forms that write them.

import { ArrowSync20Regular } from "@fluentui/react-icons";
import { useMemo, useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import type { GridColumn } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { CommandButton } from "../shell/Blade";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { AddPeering } from "./AddPeering";
import { EditPeering } from "./EditPeering";
import { outOfSync, PEERING, sync, syncStatus } from "./peerings";
import { property, ResourceLink, Sublist, useEvery } from "./Sublist";

const COLUMNS: readonly GridColumn<Resource>[] = [
  { key: "name", title: "Name", width: 2, text: (row) => row.name },
  { key: "sync", title: "Peering sync status", width: 2, text: syncStatus },
  { key: "state", title: "Peering state", width: 1.2, text: (row) => property(row, "peeringState") || "-" },
  {
    key: "remote",
    title: "Remote virtual network name",
    width: 2,
    text: (row) => property(row, "remoteVirtualNetwork.id").split("/").at(-1) ?? "",
    cell: (row) => <ResourceLink id={property(row, "remoteVirtualNetwork.id")} />,
  },
  {
    key: "gateway",
    title: "Gateway transit",
    width: 1.4,
    text: (row) => (property(row, "allowGatewayTransit") === "true" || property(row, "useRemoteGateways") === "true" ? "Enabled" : "Disabled"),
  },
];

export default function Peerings({ id, resource }: ResourceProps): ReactNode {
  const found = useList<Resource>(`${id.text}/virtualNetworkPeerings`);
  const can = useCan(id.text);
  const writable = can(`${PEERING}/write`);
  const [adding, setAdding] = useState(false);
  const [edited, setEdited] = useState<Resource>();
  // The other half is somebody else's to write: its doing is seen here without a Refresh.
  useEvery(2000, true, found.reload);
  const open = useMemo(() => (writable ? setEdited : undefined), [writable]);
  const synchronize = (chosen: readonly Resource[]): void => {
    for (const row of chosen) {
      const words = { title: "Synchronizing peering", done: "Synchronized peering", failed: "Failed to synchronize peering", about: row.name, to: resourcePath(id.text, "peerings") };
      void notified(words, () => sync(row)).catch(() => undefined);
    }
  };
  return (
    <>
      <Sublist
        label="Peerings"
        found={found}
        type={PEERING}
        columns={COLUMNS}
        onAdd={writable ? () => setAdding(true) : undefined}
        onOpen={open}
        deletable={can(`${PEERING}/delete`)}
        {...(writable
          ? {
              commands: (chosen: readonly Resource[]) => (
                <CommandButton icon={<ArrowSync20Regular />} disabled={chosen.length === 0 || !chosen.every(outOfSync)} onClick={() => synchronize(chosen)}>
                  Sync
                </CommandButton>
              ),
            }
          : {})}
        about={
          <p className="lead">
            A peering connects two virtual networks, so that their machines reach each other by private addresses. Both networks have a half of it.
          </p>
        }
        empty="Add a peering to get started"
      />
      {adding && <AddPeering network={resource} known={found.data ?? []} onClose={() => setAdding(false)} />}
      {edited !== undefined && <EditPeering network={resource} peering={edited} onClose={() => setEdited(undefined)} />}
    </>
  );
}
