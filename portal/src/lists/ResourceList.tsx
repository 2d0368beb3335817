// A list of resources with filters that live in the address: text, group, location; sort; selection.

import { Button, Dropdown, Input, Option } from "@fluentui/react-components";
import { Filter20Regular } from "@fluentui/react-icons";
import { useMemo, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { GROUP_TYPE, groupId, parseId } from "../arm/ids";
import { singularOf } from "../arm/types";
import { columnsOf } from "../pages/registry";
import { Empty } from "../shell/Blade";
import { TypeIcon } from "../shell/icons";
import { resourcePath, setQuery, useAddress } from "../shell/router";
import { useLocationName } from "../shell/session";
import { Link, Name, visible } from "../shell/text";
import { Grid, type GridColumn } from "./Grid";

export function ResourceList(props: {
  label: string;
  resources: readonly Resource[];
  /** These are a beginning: the rest is on its way. */
  more?: boolean;
  /** The one type of all rows; undefined for a list of all types. */
  type?: string;
  /** Within a group its column says nothing. */
  withGroup?: boolean;
  picked?: ReadonlySet<string>;
  onPick?: (picked: ReadonlySet<string>) => void;
  empty?: ReactNode;
}): ReactNode {
  const { label, resources, more = false, type, withGroup = true, picked, onPick, empty } = props;
  const { query } = useAddress();
  const locationName = useLocationName();
  const columns = useColumns(type, withGroup, locationName);
  const words = (query.get("filter") ?? "").toLowerCase();
  const group = query.get("group") ?? "";
  const location = query.get("location") ?? "";
  const shown = useMemo(
    () =>
      resources.filter(
        (row) =>
          (words === "" || columns.some((column) => column.text(row).toLowerCase().includes(words))) &&
          (group === "" || parseId(row.id)?.group?.toLowerCase() === group.toLowerCase()) &&
          (location === "" || row.location === location),
      ),
    [resources, columns, words, group, location],
  );
  const groups = useMemo(() => unique(resources.map((row) => (type === GROUP_TYPE ? undefined : parseId(row.id)?.group))), [resources, type]);
  const locations = useMemo(() => unique(resources.map((row) => row.location)), [resources]);
  if (resources.length === 0) return empty ?? <Empty title={`No ${label.toLowerCase()} to display`} />;
  return (
    <div className="list">
      <div className="filters">
        <Input
          className="filter"
          aria-label="Filter for any field"
          placeholder="Filter for any field..."
          contentBefore={<Filter20Regular />}
          value={query.get("filter") ?? ""}
          onChange={(_, { value }) => setQuery({ filter: value })}
        />
        {withGroup && groups.length > 1 && <Pill title="Resource group" all="all" values={groups} chosen={group} onChoose={(value) => setQuery({ group: value })} />}
        {locations.length > 1 && <Pill title="Location" all="all" values={locations} chosen={location} name={locationName} onChoose={(value) => setQuery({ location: value })} />}
        {(words || group || location) && (
          <Button appearance="subtle" onClick={() => setQuery({ filter: undefined, group: undefined, location: undefined })}>
            Clear filters
          </Button>
        )}
      </div>
      <p className="count" role="status">
        {`Showing ${shown.length} of ${more ? "more than " : ""}${resources.length} records${shown.length === resources.length ? "" : ", filtered"}.`}
      </p>
      <Grid
        label={label}
        rows={shown}
        columns={columns}
        rowKey={(row) => row.id.toLowerCase()}
        rowName={(row) => visible(row.name)}
        sorting={{ key: query.get("sort") ?? "name", down: query.get("order") === "desc" }}
        onSort={({ key, down }) => setQuery({ sort: key === "name" ? undefined : key, order: down ? "desc" : undefined })}
        {...(picked && onPick ? { picked, onPick } : {})}
      />
    </div>
  );
}

function useColumns(type: string | undefined, withGroup: boolean, locationName: (name: string | undefined) => string): readonly GridColumn<Resource>[] {
  return useMemo(() => {
    const found: GridColumn<Resource>[] = [
      {
        key: "name",
        title: "Name",
        width: 3,
        text: (row) => row.name,
        cell: (row) => (
          <span className="named">
            <TypeIcon type={type ?? row.type} />
            <Link to={resourcePath(row.id)}>
              <Name>{row.name}</Name>
            </Link>
          </span>
        ),
      },
    ];
    if (type === undefined) found.push({ key: "type", title: "Type", width: 2, text: (row) => singularOf(row.type) });
    if (withGroup && type !== GROUP_TYPE) {
      found.push({ key: "group", title: "Resource group", width: 2, text: (row) => parseId(row.id)?.group ?? "", cell: (row) => <GroupLink id={row.id} /> });
    }
    if (type !== undefined) {
      for (const column of columnsOf(type)) found.push({ ...column, text: column.value, cell: (row) => <Name>{column.value(row)}</Name> });
    }
    found.push({ key: "location", title: "Location", width: 2, text: (row) => locationName(row.location) });
    return found;
  }, [type, withGroup, locationName]);
}

function GroupLink({ id }: { id: string }): ReactNode {
  const parsed = parseId(id);
  if (parsed?.group === undefined) return "-";
  return (
    <Link to={resourcePath(groupId(parsed.subscription, parsed.group))}>
      <Name>{parsed.group}</Name>
    </Link>
  );
}

function Pill(props: { title: string; all: string; values: readonly string[]; chosen: string; name?: (value: string) => string; onChoose: (value: string) => void }): ReactNode {
  const { title, all, values, chosen, name = (value) => value, onChoose } = props;
  return (
    <Dropdown
      className="pill"
      size="small"
      aria-label={title}
      value={`${title} equals ${chosen === "" ? all : visible(name(chosen))}`}
      selectedOptions={[chosen]}
      onOptionSelect={(_, { optionValue }) => onChoose(optionValue ?? "")}
    >
      <Option value="" text={all}>
        {all}
      </Option>
      {values.map((value) => (
        <Option key={value} value={value} text={visible(name(value))}>
          {visible(name(value))}
        </Option>
      ))}
    </Dropdown>
  );
}

function unique(values: readonly (string | undefined)[]): string[] {
  const found = new Map<string, string>();
  for (const value of values) if (value !== undefined) found.set(value.toLowerCase(), value);
  return [...found.values()].sort();
}
