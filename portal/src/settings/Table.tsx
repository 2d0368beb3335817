// A plain table for a few rows: what is read, not picked. Its label is its name for the eye and the ear.

import type { ReactNode } from "react";

export interface PlainColumn<T> {
  readonly title: string;
  readonly cell: (row: T) => ReactNode;
}

export function PlainTable<T>(props: { label: string; rows: readonly T[]; columns: readonly PlainColumn<T>[]; empty?: string }): ReactNode {
  const { label, rows, columns, empty = "None" } = props;
  return (
    <div className="plain-frame" tabIndex={0} role="group" aria-label={`${label}, table`}>
      <table className="plain" aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col">
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, n) => (
            <tr key={n}>
              {columns.map((column) => (
                <td key={column.title}>{column.cell(row)}</td>
              ))}
            </tr>
          ))}
          {rows.length === 0 && (
            <tr>
              <td colSpan={columns.length}>{empty}</td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}
