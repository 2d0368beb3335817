// Network Watcher: its tools in a menu, as in Azure's portal, and the watchers of the regions.

import { ArrowRouting20Regular, Checkmark20Regular, Info20Regular, Organization20Regular, Stethoscope20Regular, type FluentIcon } from "@fluentui/react-icons";
import type { ComponentType, ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useCan, useList } from "../arm/hooks";
import { groupOf } from "../topology/model";
import { nameOf } from "../arm/ids";
import { Blade, Empty, Failure, Loading } from "../shell/Blade";
import { TypeIcon } from "../shell/icons";
import { resourcePath } from "../shell/router";
import { useLocationName, useSession } from "../shell/session";
import { follow, Link, Name } from "../shell/text";
import { ConnectionTroubleshoot } from "./ConnectionTroubleshoot";
import { IpFlowVerify } from "./IpFlowVerify";
import { NextHop } from "./NextHop";
import "./watcher.css";

interface Entry {
  readonly key: string;
  readonly title: string;
  readonly group?: string;
  readonly icon: FluentIcon;
  /** Action that its button needs. */
  readonly action?: string;
  readonly component?: ComponentType<{ machine?: string | undefined }>;
}

const TOOLS = "Network diagnostic tools";
const ENTRIES: readonly Entry[] = [
  { key: "", title: "Overview", icon: Info20Regular, component: Watchers },
  { key: "topology", title: "Topology", group: "Monitoring", icon: Organization20Regular },
  { key: "ip-flow-verify", title: "IP flow verify", group: TOOLS, icon: Checkmark20Regular, action: "ipFlowVerify", component: IpFlowVerify },
  { key: "next-hop", title: "Next hop", group: TOOLS, icon: ArrowRouting20Regular, action: "nextHop", component: NextHop },
  { key: "connection-troubleshoot", title: "Connection troubleshoot", group: TOOLS, icon: Stethoscope20Regular, action: "connectivityCheck", component: ConnectionTroubleshoot },
];
const HOME = "/tools/network-watcher";

function address(entry: Entry): string {
  if (entry.key === "topology") return "/tools/topology";
  return entry.key === "" ? HOME : `${HOME}/${entry.key}`;
}

export default function NetworkWatcher({ rest, query }: { rest: readonly string[]; query: URLSearchParams }): ReactNode {
  const entry = ENTRIES.find((one) => one.key === (rest[0] ?? ""));
  const { subscriptions } = useSession();
  const can = useCan(subscriptions[0] && `/subscriptions/${subscriptions[0].subscriptionId}`);
  const shown = ENTRIES.filter((one) => one.action === undefined || can(`Microsoft.Network/networkWatchers/${one.action}/action`));
  const Content = entry?.component;
  return (
    <Blade
      title="Network Watcher"
      {...(entry !== undefined && entry.key !== "" ? { entry: entry.title } : {})}
      icon={<TypeIcon type="Microsoft.Network/networkWatchers" large />}
      crumbs={entry?.key === "" ? [] : [{ text: "Network Watcher", to: HOME }]}
    >
      <div className="resource">
        <nav className="menu" aria-label="Menu of Network Watcher">
          {[undefined, "Monitoring", TOOLS].map((group) => (
            <Group key={group ?? ""} group={group} entries={shown.filter((one) => one.group === group)} chosen={entry?.key} />
          ))}
        </nav>
        <div className="resource-body">{Content === undefined ? <Empty title="There is no such page" /> : <Content machine={query.get("machine") ?? undefined} />}</div>
      </div>
    </Blade>
  );
}

function Group({ group, entries, chosen }: { group: string | undefined; entries: readonly Entry[]; chosen: string | undefined }): ReactNode {
  if (entries.length === 0) return null;
  return (
    <div className="menu-group">
      {group !== undefined && <h2>{group}</h2>}
      <ul>
        {entries.map((entry) => (
          <li key={entry.key}>
            <a href={address(entry)} aria-current={entry.key === chosen ? "page" : undefined} onClick={(event) => follow(event, address(entry))}>
              <entry.icon aria-hidden className="type-icon" />
              <span>{entry.title}</span>
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Watchers(): ReactNode {
  const { subscriptions } = useSession();
  const first = subscriptions[0];
  const found = useList<Resource>(first && `/subscriptions/${first.subscriptionId}/providers/Microsoft.Network/networkWatchers`);
  const locationName = useLocationName();
  return (
    <div className="watcher">
      <p className="lead">A network watcher is made in a region with the first virtual network there. It tells by which rules a packet passes, by which route it goes, and whether it arrives.</p>
      {found.error !== undefined && <Failure error={found.error} />}
      {found.data === undefined && found.error === undefined && <Loading />}
      {found.data?.length === 0 && <Empty title="No network watchers to display" />}
      {found.data !== undefined && found.data.length > 0 && (
        <table className="watcher-table" aria-label="Network watchers">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Region</th>
              <th scope="col">Resource group</th>
            </tr>
          </thead>
          <tbody>
            {found.data.map((watcher) => (
              <tr key={watcher.id}>
                <td>
                  <Link to={resourcePath(watcher.id)}>
                    <Name>{watcher.name}</Name>
                  </Link>
                </td>
                <td>{locationName(watcher.location)}</td>
                <td>
                  <Name>{nameOf(groupOf(watcher.id))}</Name>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
