// Inbound and Outbound security rules of a network security group, its default rules among them.

import { Checkbox } from "@fluentui/react-components";
import { CheckmarkCircle16Filled, DismissCircle16Filled } from "@fluentui/react-icons";
import { useMemo, useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan } from "../arm/hooks";
import type { GridColumn } from "../lists/Grid";
import type { ResourceProps } from "../pages/registry";
import { Name } from "../shell/text";
import { objects } from "./change";
import { RulePanel } from "./RulePanel";
import { protocolName, RULE, shown, type Direction } from "./rules";
import { property, Sublist } from "./Sublist";

const COLUMNS: readonly GridColumn<Resource>[] = [
  { key: "priority", title: "Priority", width: 0.9, text: (row) => property(row, "priority") },
  { key: "name", title: "Name", width: 3, text: (row) => row.name },
  { key: "port", title: "Port", width: 1, text: (row) => shown(row, "destination", "Port") },
  { key: "protocol", title: "Protocol", width: 0.9, text: protocolName },
  { key: "source", title: "Source", width: 1.6, text: (row) => shown(row, "source", "Address"), cell: (row) => <Name>{shown(row, "source", "Address")}</Name> },
  { key: "destination", title: "Destination", width: 1.6, text: (row) => shown(row, "destination", "Address"), cell: (row) => <Name>{shown(row, "destination", "Address")}</Name> },
  {
    key: "action",
    title: "Action",
    width: 0.9,
    text: (row) => property(row, "access"),
    cell: (row) => {
      const allow = property(row, "access") === "Allow";
      return (
        <span className={allow ? "access access-allow" : "access access-deny"}>
          {allow ? <CheckmarkCircle16Filled aria-hidden /> : <DismissCircle16Filled aria-hidden />}
          {property(row, "access")}
        </span>
      );
    },
  },
];

const isDefault = (row: Resource): boolean => /\/defaultSecurityRules\//i.test(row.id);

function SecurityRules({ id, resource, reload, direction }: ResourceProps & { direction: Direction }): ReactNode {
  const can = useCan(id.text);
  const writable = can(`${RULE}/write`);
  const [edited, setEdited] = useState<Resource | "new">();
  const [hide, setHide] = useState(false);
  const own = objects(resource.properties, "securityRules") as unknown as Resource[];
  const rows = useMemo(() => {
    const defaults = objects(resource.properties, "defaultSecurityRules") as unknown as Resource[];
    return [...own, ...(hide ? [] : defaults)].filter((rule) => property(rule, "direction") === direction);
  }, [resource, direction, hide]);
  return (
    <>
      <Sublist
        label={`${direction} security rules`}
        found={{ data: rows, error: undefined, loading: false, reload }}
        type={RULE}
        columns={COLUMNS}
        onAdd={writable ? () => setEdited("new") : undefined}
        onOpen={writable ? setEdited : undefined}
        fixed={isDefault}
        deletable={can(`${RULE}/delete`)}
        sorting={{ key: "priority", down: false }}
        about={
          <>
            <p className="lead">Rules are evaluated by priority: the lower the number, the sooner. The first that fits a flow decides. Default rules cannot be deleted, but overridden by rules of higher priority.</p>
            <Checkbox label="Hide default rules" checked={hide} onChange={(_, { checked }) => setHide(checked === true)} />
          </>
        }
        empty="No rules to display"
      />
      {edited !== undefined && <RulePanel group={resource} rules={own} rule={edited === "new" ? undefined : edited} direction={direction} onClose={() => setEdited(undefined)} />}
    </>
  );
}

export function InboundRules(props: ResourceProps): ReactNode {
  return <SecurityRules {...props} direction="Inbound" />;
}

export function OutboundRules(props: ResourceProps): ReactNode {
  return <SecurityRules {...props} direction="Outbound" />;
}
