// The deployments of a resource group, the newest first.

import { ArrowClockwise20Regular, Delete20Regular } from "@fluentui/react-icons";
import { useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { Grid, type GridColumn, type Sorting } from "../lists/Grid";
import { CommandBar, CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { resourcePath } from "../shell/router";
import { ago, Link, Name, visible } from "../shell/text";
import { DeleteDialog } from "./DeleteDialog";
import type { ResourceProps } from "./registry";

const TYPE = "Microsoft.Resources/deployments";

function property(row: Resource, name: string): string {
  const found = row.properties?.[name];
  return typeof found === "string" ? found : "";
}

/** `PT1M2.5S` in words. */
function duration(text: string): string {
  const parts = /^PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?$/.exec(text);
  if (parts === null) return text || "-";
  const [, hours, minutes, seconds] = parts;
  const words = [hours && `${hours} h`, minutes && `${minutes} min`, seconds && `${Math.round(Number(seconds))} s`];
  return words.filter(Boolean).join(" ") || "0 s";
}

const COLUMNS: readonly GridColumn<Resource>[] = [
  {
    key: "name",
    title: "Deployment name",
    width: 3,
    text: (row) => row.name,
    cell: (row) => (
      <Link to={resourcePath(row.id)}>
        <Name>{row.name}</Name>
      </Link>
    ),
  },
  { key: "status", title: "Status", width: 1, text: (row) => property(row, "provisioningState") },
  { key: "modified", title: "Last modified", width: 1, text: (row) => property(row, "timestamp"), cell: (row) => ago(property(row, "timestamp")) },
  { key: "duration", title: "Duration", width: 1, text: (row) => duration(property(row, "duration")) },
];

export default function Deployments({ id }: ResourceProps): ReactNode {
  const found = useList<Resource>(`${id.text}/providers/${TYPE}`);
  const can = useCan(id.text);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [sorting, setSorting] = useState<Sorting>({ key: "modified", down: true });
  const [deleting, setDeleting] = useState(false);
  const chosen = (found.data ?? []).filter((row) => picked.has(row.id.toLowerCase()));
  return (
    <>
      <CommandBar>
        <CommandButton icon={<ArrowClockwise20Regular />} onClick={found.reload}>
          Refresh
        </CommandButton>
        {can(`${TYPE}/delete`) && (
          <CommandButton icon={<Delete20Regular />} disabled={chosen.length === 0} onClick={() => setDeleting(true)}>
            Delete
          </CommandButton>
        )}
      </CommandBar>
      {found.error && <Failure error={found.error} />}
      {!found.data && !found.error && <Loading />}
      {found.data?.length === 0 && <Empty title="No deployments to display" />}
      {found.data !== undefined && found.data.length > 0 && (
        <Grid
          label="Deployments"
          rows={found.data}
          columns={COLUMNS}
          rowKey={(row) => row.id.toLowerCase()}
          rowName={(row) => visible(row.name)}
          sorting={sorting}
          onSort={setSorting}
          picked={picked}
          onPick={setPicked}
        />
      )}
      <DeleteDialog open={deleting} resources={chosen} type={TYPE} onClose={() => setDeleting(false)} onDeleted={() => setPicked(new Set())} />
    </>
  );
}
