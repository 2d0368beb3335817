// The page of the topology: everything the user may read, or one resource group's part of it.

import { Dropdown, Option } from "@fluentui/react-components";
import type { ReactNode } from "react";

import { nameOf } from "../arm/ids";
import { Blade } from "../shell/Blade";
import { setQuery } from "../shell/router";
import { visible } from "../shell/text";
import { groupOf, type Graph } from "./model";
import { Topology } from "./Topology";

export default function TopologyTool({ query }: { query: URLSearchParams }): ReactNode {
  const scope = query.get("scope") ?? undefined;
  return (
    <Blade title="Topology" subtitle="Virtual networks and what is in them" crumbs={[{ text: "Network Watcher", to: "/tools/network-watcher" }]}>
      <Topology {...(scope === undefined ? {} : { scope })} filter={(graph) => <GroupFilter graph={graph} scope={scope} />} />
    </Blade>
  );
}

function GroupFilter({ graph, scope }: { graph: Graph; scope: string | undefined }): ReactNode {
  const groups = [...new Map(graph.networks.filter((network) => network.known).map((network) => [groupOf(network.id).toLowerCase(), groupOf(network.id)])).values()].sort();
  const text = (group: string): string => visible(nameOf(group));
  return (
    <Dropdown
      className="topology-scope"
      size="small"
      aria-label="Resource group"
      value={scope === undefined ? "All resource groups" : text(scope)}
      selectedOptions={[scope ?? ""]}
      onOptionSelect={(_, { optionValue }) => setQuery({ scope: optionValue === "" ? undefined : optionValue })}
    >
      <Option value="">All resource groups</Option>
      {groups.map((group) => (
        <Option key={group} value={group} text={text(group)}>
          <bdi>{text(group)}</bdi>
        </Option>
      ))}
    </Dropdown>
  );
}
