// The activity log: of a resource, of a group, of a subscription; who did what, when, and how it ended. Filters live in the address.

import { Button, DrawerBody, DrawerHeader, DrawerHeaderTitle, Dropdown, Input, Link as TextLink, Option, OverlayDrawer } from "@fluentui/react-components";
import { ArrowClockwise20Regular, Dismiss20Regular, Filter20Regular } from "@fluentui/react-icons";
import { useMemo, useState, type ReactNode } from "react";

import { list, type Json } from "../arm/client";
import { useLoaded } from "../arm/hooks";
import { GROUP_TYPE, SUBSCRIPTION_TYPE } from "../arm/ids";
import { Grid, type GridColumn, type Sorting } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { Blade, CommandBar, CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { setQuery, useAddress } from "../shell/router";
import { useSession } from "../shell/session";
import { ago, Copy, Name, visible } from "../shell/text";
import { object } from "./change";
import { ResourceLink } from "./Sublist";

const SPANS = [
  { value: "1", text: "Last hour" },
  { value: "6", text: "Last 6 hours" },
  { value: "24", text: "Last 24 hours" },
  { value: "168", text: "Last week" },
  { value: "720", text: "Last month" },
];

/** The events of one operation: its beginning, its end. */
interface Entry {
  readonly key: string;
  /** Newest first. */
  readonly events: readonly Json[];
}

const value = (event: Json, name: string): string => String(object(event[name]).value ?? event[name] ?? "");
const newest = (entry: Entry): Json => entry.events[0]!;

function entries(events: readonly Json[]): Entry[] {
  const found = new Map<string, Json[]>();
  for (const event of events) {
    const key = [value(event, "correlationId"), value(event, "resourceId").toLowerCase(), value(event, "operationName")].join(" ");
    const known = found.get(key);
    if (known === undefined) found.set(key, [event]);
    else known.push(event);
  }
  return [...found].map(([key, all]) => ({ key, events: all.sort((one, two) => value(two, "eventTimestamp").localeCompare(value(one, "eventTimestamp"))) }));
}

function Log({ subscription, scope }: { subscription: string; scope: string }): ReactNode {
  const { query } = useAddress();
  const span = query.get("span") ?? "6";
  const words = (query.get("operation") ?? "").toLowerCase();
  const status = query.get("status") ?? "";
  const [opened, setOpened] = useState<Entry>();
  const [sorting, setSorting] = useState<Sorting>({ key: "time", down: true });
  const found = useLoaded<Entry[]>(`log ${subscription} ${scope} ${span}`, async (signal) => {
    const since = new Date(Date.now() - Number(span) * 3_600_000).toISOString();
    const filter = [`eventTimestamp ge '${since}'`, scope].filter((clause) => clause !== "").join(" and ");
    return entries(await list<Json>(`/subscriptions/${subscription}/providers/Microsoft.Insights/eventtypes/management/values`, { apiVersion: "2015-04-01", query: { $filter: filter }, signal }));
  });
  const columns = useMemo<GridColumn<Entry>[]>(
    () => [
      {
        key: "operation",
        title: "Operation name",
        width: 4,
        text: (row) => value(newest(row), "operationName"),
        cell: (row) => (
          <TextLink as="button" onClick={() => setOpened(row)}>
            <Name>{value(newest(row), "operationName")}</Name>
          </TextLink>
        ),
      },
      { key: "resource", title: "Resource", width: 1.5, text: (row) => value(newest(row), "resourceId").split("/").at(-1) ?? "", cell: (row) => <ResourceLink id={value(newest(row), "resourceId")} /> },
      { key: "status", title: "Status", width: 1, text: (row) => value(newest(row), "status") },
      { key: "time", title: "Time", width: 1.2, text: (row) => value(newest(row), "eventTimestamp"), cell: (row) => <span title={value(newest(row), "eventTimestamp")}>{ago(value(newest(row), "eventTimestamp"))}</span> },
      { key: "caller", title: "Event initiated by", width: 1.8, text: (row) => value(newest(row), "caller"), cell: (row) => <Name>{value(newest(row), "caller")}</Name> },
    ],
    [],
  );
  const rows = (found.data ?? []).filter((row) => columns.some((column) => column.text(row).toLowerCase().includes(words)) && (status === "" || value(newest(row), "status") === status));
  const states = [...new Set((found.data ?? []).map((row) => value(newest(row), "status")))].sort();
  return (
    <>
      <CommandBar>
        <CommandButton icon={<ArrowClockwise20Regular />} onClick={found.reload}>
          Refresh
        </CommandButton>
      </CommandBar>
      <div className="filters">
        <Input className="filter" aria-label="Filter operations" placeholder="Filter operations..." contentBefore={<Filter20Regular />} value={query.get("operation") ?? ""} onChange={(_, changed) => setQuery({ operation: changed.value })} />
        <Dropdown
          className="pill"
          size="small"
          aria-label="Timespan"
          value={SPANS.find((one) => one.value === span)?.text ?? ""}
          selectedOptions={[span]}
          onOptionSelect={(_, { optionValue }) => setQuery({ span: optionValue })}
        >
          {SPANS.map((one) => (
            <Option key={one.value} value={one.value}>
              {one.text}
            </Option>
          ))}
        </Dropdown>
        <Dropdown className="pill" size="small" aria-label="Status" value={`Status: ${status || "all"}`} selectedOptions={[status]} onOptionSelect={(_, { optionValue }) => setQuery({ status: optionValue })}>
          {["", ...states].map((state) => (
            <Option key={state} value={state}>
              {state === "" ? "all" : state}
            </Option>
          ))}
        </Dropdown>
      </div>
      {found.error && <Failure error={found.error} />}
      {!found.data && !found.error && <Loading />}
      {found.data !== undefined && (
        <p className="count" role="status">
          {rows.length} items.
        </p>
      )}
      {found.data !== undefined && rows.length === 0 && <Empty title="No events to display" />}
      {rows.length > 0 && <Grid label="Activity log" rows={rows} columns={columns} rowKey={(row) => row.key} sorting={sorting} onSort={setSorting} />}
      {opened !== undefined && <EventPanel entry={opened} onClose={() => setOpened(undefined)} />}
    </>
  );
}

function EventPanel({ entry, onClose }: { entry: Entry; onClose: () => void }): ReactNode {
  const event = newest(entry);
  const text = JSON.stringify(entry.events.length === 1 ? event : entry.events, null, 2);
  const lines: [string, string][] = [
    ["Operation name", value(event, "operationName")],
    ["Status", entry.events.map((one) => value(one, "status")).reverse().join(" → ")],
    ["Time stamp", value(event, "eventTimestamp")],
    ["Event initiated by", value(event, "caller")],
    ["Resource", value(event, "resourceId")],
    ["Message", String(object(event.properties).statusMessage ?? "-")],
  ];
  return (
    <OverlayDrawer open position="end" size="medium" onOpenChange={(_, state) => !state.open && onClose()}>
      <DrawerHeader>
        <DrawerHeaderTitle heading={{ as: "h2" }} action={<Button appearance="subtle" aria-label="Close" icon={<Dismiss20Regular />} onClick={onClose} />}>
          {visible(value(event, "operationName"))}
        </DrawerHeaderTitle>
      </DrawerHeader>
      <DrawerBody>
        <dl className="lines">
          {lines.map(([title, words]) => (
            <div key={title}>
              <dt>{title}</dt>
              <dd>
                <Name>{words}</Name>
              </dd>
            </div>
          ))}
        </dl>
        <div className="json-text">
          <Copy text={text} what="JSON" />
          <pre tabIndex={0} aria-label="JSON of the event">
            {/* Line ends are the document's own. */}
            {text.split("\n").map(visible).join("\n")}
          </pre>
        </div>
      </DrawerBody>
    </OverlayDrawer>
  );
}

export function ResourceLog({ id }: ResourceProps): ReactNode {
  const quoted = (text: string): string => `'${text.replace(/'/g, "''")}'`;
  const scope = id.type === SUBSCRIPTION_TYPE ? "" : id.type === GROUP_TYPE ? `resourceGroupName eq ${quoted(id.name)}` : `resourceId eq ${quoted(id.text)}`;
  return <Log subscription={id.subscription} scope={scope} />;
}

export function LogTool(): ReactNode {
  const { subscriptions } = useSession();
  const first = subscriptions[0];
  return (
    <Blade title="Activity log" {...(first === undefined ? {} : { subtitle: first.displayName })}>
      {first === undefined ? <Empty title="There is no subscription that you may see" /> : <Log subscription={first.subscriptionId} scope="" />}
    </Blade>
  );
}
