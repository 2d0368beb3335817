// Effective routes and effective security rules of a network interface, as its machine has them now.

import { ArrowClockwise20Regular } from "@fluentui/react-icons";
import type { ReactNode } from "react";

import { action, type Json } from "../arm/client";
import { useCan, useLoaded, type Loaded } from "../arm/hooks";
import { nameOf } from "../arm/ids";
import type { ResourceProps } from "../pages/registry";
import { CommandBar, CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { Name } from "../shell/text";
import { objects, object, refId } from "./change";
import { ResourceLink } from "./Sublist";
import { PlainTable } from "./Table";

const words = (value: unknown): ReactNode => <Name>{Array.isArray(value) && value.length > 0 ? value.join(", ") : typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : "-"}</Name>;

/** Ask the interface, and show what it answers; the question itself is a right of its own. */
function Asked({ id, name, children }: ResourceProps & { name: string; children: (answer: Json[]) => ReactNode }): ReactNode {
  const can = useCan(id.text);
  const allowed = can(`${id.type}/${name}/action`);
  const found: Loaded<Json[]> = useLoaded<Json[]>(allowed ? `${name} ${id.text.toLowerCase()}` : undefined, async (signal) => objects(await action<Json>(id.text, name, undefined, { signal }), "value"));
  if (!allowed) return <Empty title="Your roles do not let you ask for this" />;
  return (
    <section className="settings">
      <CommandBar>
        <CommandButton icon={<ArrowClockwise20Regular />} onClick={found.reload}>
          Refresh
        </CommandButton>
      </CommandBar>
      {found.error && <Failure error={found.error} title="What is effective can be seen while the machine runs" />}
      {found.data === undefined && !found.error && <Loading />}
      {found.data !== undefined && children(found.data)}
    </section>
  );
}

export function EffectiveRoutes(props: ResourceProps): ReactNode {
  return (
    <Asked {...props} name="effectiveRouteTable">
      {(routes) => (
        <PlainTable
          label="Effective routes"
          rows={routes}
          columns={[
            { title: "Source", cell: (route) => words(route.source) },
            { title: "State", cell: (route) => words(route.state) },
            { title: "Address prefixes", cell: (route) => words(route.addressPrefix) },
            { title: "Next hop type", cell: (route) => words(route.nextHopType) },
            { title: "Next hop IP address", cell: (route) => words(route.nextHopIpAddress) },
            { title: "User defined route name", cell: (route) => words(route.name) },
          ]}
        />
      )}
    </Asked>
  );
}

const place = (rule: Json, side: "source" | "destination"): ReactNode => {
  // Any address is there twice: for IPv4 and for IPv6.
  const prefixes = [...new Set(objectsOrText(rule[`${side}AddressPrefixes`], rule[`${side}AddressPrefix`]))];
  const expanded = objectsOrText(rule[`expanded${side[0]!.toUpperCase()}${side.slice(1)}AddressPrefix`], undefined);
  return (
    <span {...(expanded.length > 0 ? { title: expanded.join(", ") } : {})}>
      {words(prefixes)}
      {expanded.length > 0 && <span className="subtitle"> ({expanded.length === 1 ? "1 prefix" : `${expanded.length} prefixes`})</span>}
    </span>
  );
};

function objectsOrText(several: unknown, one: unknown): string[] {
  return Array.isArray(several) ? (several as string[]) : typeof one === "string" ? [one] : [];
}

export function EffectiveRules(props: ResourceProps): ReactNode {
  return (
    <Asked {...props} name="effectiveNetworkSecurityGroups">
      {(groups) =>
        groups.length === 0 ? (
          <Empty title="No network security group applies: all traffic passes" />
        ) : (
          groups.map((group, n) => {
            const association = object(group.association);
            const to = refId(association.networkInterface) ?? refId(association.subnet);
            const name = nameOf(refId(group.networkSecurityGroup) ?? "");
            return (
              <section key={n} aria-label={`Effective rules of ${name}`}>
                <h2>
                  <ResourceLink id={refId(group.networkSecurityGroup)} /> associated with {association.subnet ? "subnet" : "network interface"} <Name>{nameOf(to ?? "")}</Name>
                </h2>
                {["Inbound", "Outbound"].map((direction) => (
                  <div key={direction}>
                    <h2>{direction} rules</h2>
                    <PlainTable
                      label={`${direction} rules of ${name}`}
                      rows={objects(group, "effectiveSecurityRules").filter((rule) => rule.direction === direction)}
                      columns={[
                        { title: "Name", cell: (rule) => words(String(rule.name ?? "").split("/").at(-1)) },
                        { title: "Priority", cell: (rule) => words(rule.priority) },
                        { title: "Source", cell: (rule) => place(rule, "source") },
                        { title: "Source ports", cell: (rule) => words(rule.sourcePortRanges ?? rule.sourcePortRange) },
                        { title: "Destination", cell: (rule) => place(rule, "destination") },
                        { title: "Destination ports", cell: (rule) => words(rule.destinationPortRanges ?? rule.destinationPortRange) },
                        { title: "Protocol", cell: (rule) => words(rule.protocol) },
                        { title: "Access", cell: (rule) => words(rule.access) },
                      ]}
                    />
                  </div>
                ))}
              </section>
            );
          })
        )
      }
    </Asked>
  );
}
