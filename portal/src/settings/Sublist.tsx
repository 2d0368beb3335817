// The list of a settings page: what hangs below a resource, with Add, Refresh, Delete and what else the page brings; a row's
// name opens its form for those who may write, and its page for everybody else.

import { Link as TextLink } from "@fluentui/react-components";
import { Add20Regular, ArrowClockwise20Regular, Delete20Regular } from "@fluentui/react-icons";
import { useEffect, useMemo, useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { type Loaded } from "../arm/hooks";
import { Grid, type GridColumn, type Sorting } from "../lists/Grid";
import { DeleteDialog } from "../pages/DeleteDialog";
import { CommandBar, CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { resourcePath } from "../shell/router";
import { Link, Name, visible } from "../shell/text";
import "./settings.css";

export interface SublistProps {
  readonly label: string;
  readonly found: Loaded<Resource[]>;
  /** Of the rows: what deleting them means, and is asked with. */
  readonly type: string;
  readonly columns: readonly GridColumn<Resource>[];
  /** "Add", "Subnet": what the button says. */
  readonly add?: string;
  /** Undefined where the user may not. */
  readonly onAdd?: (() => void) | undefined;
  readonly onOpen?: ((row: Resource) => void) | undefined;
  readonly deletable?: boolean;
  /** Rows that stay as they are. */
  readonly fixed?: (row: Resource) => boolean;
  readonly commands?: (chosen: readonly Resource[]) => ReactNode;
  readonly sorting?: Sorting;
  readonly about?: ReactNode;
  readonly empty: string;
}

/** Call `again` every `milliseconds` while `active` and the page is seen. */
export function useEvery(milliseconds: number, active: boolean, again: () => void): void {
  useEffect(() => {
    if (!active) return;
    const timer = setInterval(() => !document.hidden && again(), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds, active, again]);
}

/** A resource's property by its path: `"remoteVirtualNetwork.id"`; empty where there is none. */
export function property(row: Resource, path: string): string {
  let value: unknown = row.properties;
  for (const name of path.split(".")) value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  return typeof value === "object" || value === undefined || value === null ? "" : String(value);
}

/** The name of a row: opens its form, or where that may not be changed its page. */
function RowName({ row, onOpen }: { row: Resource; onOpen: ((row: Resource) => void) | undefined }): ReactNode {
  const name = <Name>{row.name}</Name>;
  if (onOpen === undefined) return <Link to={resourcePath(row.id)}>{name}</Link>;
  return (
    <TextLink as="button" onClick={() => onOpen(row)}>
      {name}
    </TextLink>
  );
}

const never = (): boolean => false;

export function Sublist(props: SublistProps): ReactNode {
  const { label, found, type, columns, add = "Add", onAdd, onOpen, deletable = false, fixed = never, commands, about, empty } = props;
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [deleting, setDeleting] = useState(false);
  const [sorting, setSorting] = useState<Sorting>(props.sorting ?? { key: "name", down: false });
  const rows = found.data ?? [];
  const chosen = rows.filter((row) => picked.has(row.id.toLowerCase()));
  const all = useMemo<GridColumn<Resource>[]>(
    () => columns.map((column) => (column.key === "name" ? { ...column, cell: (row: Resource) => (fixed(row) ? <Name>{row.name}</Name> : <RowName row={row} onOpen={onOpen} />) } : column)),
    [columns, onOpen, fixed],
  );
  return (
    <>
      <CommandBar>
        {onAdd !== undefined && (
          <CommandButton icon={<Add20Regular />} onClick={onAdd}>
            {add}
          </CommandButton>
        )}
        <CommandButton icon={<ArrowClockwise20Regular />} onClick={found.reload}>
          Refresh
        </CommandButton>
        {deletable && (
          <CommandButton icon={<Delete20Regular />} disabled={chosen.length === 0 || chosen.some(fixed)} onClick={() => setDeleting(true)}>
            Delete
          </CommandButton>
        )}
        {commands?.(chosen)}
      </CommandBar>
      {about}
      {found.error && <Failure error={found.error} />}
      {!found.data && !found.error && <Loading />}
      {found.data?.length === 0 && <Empty title={empty} />}
      {rows.length > 0 && (
        <Grid
          label={label}
          rows={rows}
          columns={all}
          rowKey={(row) => row.id.toLowerCase()}
          rowName={(row) => visible(row.name)}
          sorting={sorting}
          onSort={setSorting}
          {...(deletable || commands ? { picked, onPick: setPicked } : {})}
        />
      )}
      <DeleteDialog open={deleting} resources={chosen} type={type} onClose={() => setDeleting(false)} onDeleted={() => setPicked(new Set())} />
    </>
  );
}

/** A link to a resource in a cell; a dash where there is none. */
export function ResourceLink({ id, text }: { id: string | undefined; text?: string }): ReactNode {
  if (id === undefined || id === "") return "-";
  return (
    <Link to={resourcePath(id)}>
      <Name>{text ?? id.split("/").at(-1)!}</Name>
    </Link>
  );
}
