// A virtualised table: as many rows in the page as are seen, sorted by any column, picked by checkboxes where that is of use.

import { Checkbox } from "@fluentui/react-components";
import { ArrowDown16Regular, ArrowUp16Regular } from "@fluentui/react-icons";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, type CSSProperties, type ReactNode } from "react";

export interface GridColumn<T> {
  readonly key: string;
  readonly title: string;
  /** Share of the width; columns never get narrower than 90 pixels. */
  readonly width: number;
  /** What is sorted and filtered by. */
  readonly text: (row: T) => string;
  /** What is shown, where it is more than the text. */
  readonly cell?: (row: T) => ReactNode;
}

export interface Sorting {
  readonly key: string;
  readonly down: boolean;
}

const ROW = 36;
const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

export function Grid<T>(props: {
  label: string;
  rows: readonly T[];
  columns: readonly GridColumn<T>[];
  rowKey: (row: T) => string;
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  picked?: ReadonlySet<string>;
  onPick?: (picked: ReadonlySet<string>) => void;
  rowName?: (row: T) => string;
}): ReactNode {
  const { label, rows, columns, rowKey, sorting, onSort, picked, onPick, rowName } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const sorted = useMemo(() => {
    const column = columns.find((found) => found.key === sorting.key) ?? columns[0];
    if (column === undefined) return [...rows];
    const keyed = rows.map((row) => [column.text(row), row] as const);
    keyed.sort(([one], [two]) => order.compare(one, two) * (sorting.down ? -1 : 1));
    return keyed.map(([, row]) => row);
  }, [rows, columns, sorting.key, sorting.down]);
  const virtual = useVirtualizer({ count: sorted.length, getScrollElement: () => scroller.current, estimateSize: () => ROW, overscan: 8 });
  const template = `${onPick ? "36px " : ""}${columns.map((column) => `minmax(90px, ${column.width}fr)`).join(" ")}`;
  const style: CSSProperties = { gridTemplateColumns: template };
  const allPicked = picked !== undefined && rows.length > 0 && rows.every((row) => picked.has(rowKey(row)));
  const toggle = (key: string): void => {
    const changed = new Set(picked);
    if (!changed.delete(key)) changed.add(key);
    onPick?.(changed);
  };
  return (
    <div className="grid" role="table" aria-label={label} aria-rowcount={sorted.length + 1} aria-colcount={columns.length + (onPick ? 1 : 0)}>
      <div role="rowgroup">
        <div className="grid-row grid-head" role="row" aria-rowindex={1} style={style}>
          {onPick && (
            <div role="columnheader" className="grid-pick" aria-label="Selection">
              <Checkbox
                aria-label="Select all"
                checked={allPicked ? true : (picked?.size ?? 0) > 0 ? "mixed" : false}
                onChange={() => onPick(new Set(allPicked ? [] : rows.map(rowKey)))}
              />
            </div>
          )}
          {columns.map((column) => {
            const active = column.key === sorting.key;
            return (
              <div key={column.key} role="columnheader" aria-sort={active ? (sorting.down ? "descending" : "ascending") : "none"}>
                <button type="button" className="grid-sort" onClick={() => onSort({ key: column.key, down: active && !sorting.down })}>
                  {column.title}
                  {active && (sorting.down ? <ArrowDown16Regular aria-hidden /> : <ArrowUp16Regular aria-hidden />)}
                </button>
              </div>
            );
          })}
        </div>
      </div>
      <div className="grid-scroll" ref={scroller} role="rowgroup" tabIndex={0} aria-label={`${label}, rows`}>
        <div className="grid-all" role="presentation" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = sorted[item.index]!;
            const key = rowKey(row);
            return (
              <div key={key} role="row" aria-rowindex={item.index + 2} className="grid-row" style={{ ...style, transform: `translateY(${item.start}px)` }}>
                {onPick && (
                  <div role="cell" className="grid-pick">
                    <Checkbox aria-label={`Select ${rowName?.(row) ?? key}`} checked={picked?.has(key) ?? false} onChange={() => toggle(key)} />
                  </div>
                )}
                {columns.map((column) => (
                  <div key={column.key} role="cell" className="grid-cell">
                    {column.cell ? column.cell(row) : <bdi>{column.text(row)}</bdi>}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
