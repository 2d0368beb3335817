// The list of a child type below its parent: subnets of a network, rules of a security group.

import { ArrowClockwise20Regular, Delete20Regular } from "@fluentui/react-icons";
import { useMemo, useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import type { ResourceType } from "../arm/types";
import { Grid, type GridColumn, type Sorting } from "../lists/Grid";
import { CommandBar, CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { TypeIcon } from "../shell/icons";
import { resourcePath } from "../shell/router";
import { Link, Name, visible } from "../shell/text";
import { CreateButton } from "./Browse";
import { DeleteDialog } from "./DeleteDialog";
import { columnsOf, type ResourceProps } from "./registry";

export function Children({ id, child }: ResourceProps & { child: ResourceType }): ReactNode {
  const found = useList<Resource>(`${id.text}/${child.type.split("/").at(-1)!}`);
  const can = useCan(id.text);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [deleting, setDeleting] = useState(false);
  const [sorting, setSorting] = useState<Sorting>({ key: "name", down: false });
  const columns = useMemo<GridColumn<Resource>[]>(
    () => [
      {
        key: "name",
        title: "Name",
        width: 2,
        text: (row) => row.name,
        cell: (row) => (
          <span className="named">
            <TypeIcon type={child.type} />
            <Link to={resourcePath(row.id)}>
              <Name>{row.name}</Name>
            </Link>
          </span>
        ),
      },
      ...columnsOf(child.type).map((column) => ({ ...column, text: column.value, cell: (row: Resource) => <Name>{column.value(row)}</Name> })),
      { key: "state", title: "Provisioning state", width: 1, text: (row) => String(row.properties?.provisioningState ?? "-") },
    ],
    [child.type],
  );
  const chosen = (found.data ?? []).filter((row) => picked.has(row.id.toLowerCase()));
  return (
    <>
      <CommandBar>
        <CreateButton type={child.type} allowed={can(`${child.type}/write`)} known={{ parent: id.text }} />
        <CommandButton icon={<ArrowClockwise20Regular />} onClick={found.reload}>
          Refresh
        </CommandButton>
        <CommandButton icon={<Delete20Regular />} disabled={chosen.length === 0 || !can(`${child.type}/delete`)} onClick={() => setDeleting(true)}>
          Delete
        </CommandButton>
      </CommandBar>
      {found.error && <Failure error={found.error} />}
      {!found.data && !found.error && <Loading />}
      {found.data?.length === 0 && <Empty title={`No ${child.plural.toLowerCase()} to display`} />}
      {found.data !== undefined && found.data.length > 0 && (
        <Grid
          label={child.plural}
          rows={found.data}
          columns={columns}
          rowKey={(row) => row.id.toLowerCase()}
          rowName={(row) => visible(row.name)}
          sorting={sorting}
          onSort={setSorting}
          picked={picked}
          onPick={setPicked}
        />
      )}
      <DeleteDialog open={deleting} resources={chosen} type={child.type} onClose={() => setDeleting(false)} onDeleted={() => setPicked(new Set())} />
    </>
  );
}
