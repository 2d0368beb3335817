// Tags in rows of a name and a value, and what Azure takes for tags: the tags page and the wizards' tab have the same.

import { Button, Input } from "@fluentui/react-components";
import { Delete20Regular } from "@fluentui/react-icons";
import type { ReactNode } from "react";

export interface TagRow {
  readonly name: string;
  readonly value: string;
}

export function tagsOf(rows: readonly TagRow[]): Record<string, string> {
  return Object.fromEntries(rows.filter((row) => row.name !== "").map((row) => [row.name, row.value]));
}

export function tagsError(rows: readonly TagRow[]): string | undefined {
  const given = rows.filter((row) => row.name !== "" || row.value !== "").map((row) => row.name.toLowerCase());
  if (given.includes("")) return "A tag needs a name.";
  if (new Set(given).size < given.length) return "Two tags have the same name: case does not count.";
  if (given.length > 50) return "A resource has 50 tags at most.";
  if (rows.some((row) => row.name.length > 512 || row.value.length > 256)) return "A tag's name has 512 characters at most, its value 256.";
  return rows.some((row) => /[<>%&\\?/]/.test(row.name)) ? "A tag's name cannot hold < > % & \\ ? or /." : undefined;
}

/** The last row is the empty one that waits for a new tag: it has no button. */
export function TagTable(props: { rows: readonly TagRow[]; writable?: boolean; onChange: (n: number, change: Partial<TagRow>) => void; onDelete: (n: number) => void }): ReactNode {
  const { rows, writable = true, onChange, onDelete } = props;
  return (
    <div role="table" aria-label="Tags" className="tag-table">
      <div role="row" className="tag-row tag-head">
        <span role="columnheader">Name</span>
        <span role="columnheader">Value</span>
        <span role="columnheader">
          <span className="hidden">Actions</span>
        </span>
      </div>
      {rows.map((row, n) => (
        <div role="row" className="tag-row" key={n}>
          <span role="cell">
            <Input aria-label={`Name of tag ${n + 1}`} value={row.name} disabled={!writable} onChange={(_, { value }) => onChange(n, { name: value })} />
          </span>
          <span role="cell">
            <Input aria-label={`Value of tag ${n + 1}`} value={row.value} disabled={!writable} onChange={(_, { value }) => onChange(n, { value })} />
          </span>
          <span role="cell">{n < rows.length - 1 && writable && <Button appearance="subtle" aria-label={`Delete tag ${n + 1}`} icon={<Delete20Regular />} onClick={() => onDelete(n)} />}</span>
        </div>
      ))}
    </div>
  );
}
