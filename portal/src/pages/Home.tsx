// Home: services to go to, what was opened last, and where else to look.

import { Add28Regular } from "@fluentui/react-icons";
import type { ReactNode } from "react";

import type { Resource } from "../arm/client";
import { list } from "../arm/client";
import { useLoaded } from "../arm/hooks";
import { GROUP_TYPE, parseId } from "../arm/ids";
import { pluralOf, singularOf, topTypes } from "../arm/types";
import { Empty, Failure, Loading } from "../shell/Blade";
import { TypeIcon } from "../shell/icons";
import { browsePath, resourcePath } from "../shell/router";
import { useSession } from "../shell/session";
import { ago, follow, Link, Name } from "../shell/text";
import { listedTools } from "./registry";

const SERVICES = [
  "Microsoft.Network/virtualNetworks",
  "Microsoft.Compute/virtualMachines",
  GROUP_TYPE,
  "Microsoft.Network/networkSecurityGroups",
  "Microsoft.Network/bastionHosts",
  "Microsoft.Network/publicIPAddresses",
  "Microsoft.Network/routeTables",
];
const RECENT = 12;

interface Changed extends Resource {
  changedTime?: string;
}

export function Home(): ReactNode {
  const { subscriptions } = useSession();
  const found = useLoaded<Changed[]>(
    "home",
    async (signal) => {
      const asked = { signal, query: { $expand: "changedTime" } };
      const all = (await Promise.all(subscriptions.map(({ subscriptionId }) => list<Changed>(`/subscriptions/${subscriptionId}/resources`, asked)))).flat();
      return all.sort((one, two) => (two.changedTime ?? "").localeCompare(one.changedTime ?? "")).slice(0, RECENT);
    },
    () => true,
  );
  const known = new Set(topTypes().map((type) => type.type));
  return (
    <div className="home">
      <h1 className="hidden">Home</h1>
      <section aria-labelledby="services">
        <h2 id="services">Azure services</h2>
        <ul className="services">
          <Service to="/create" text="Create a resource" icon={<Add28Regular aria-hidden className="type-icon type-icon-green" />} />
          {SERVICES.filter((type) => known.has(type)).map((type) => (
            <Service key={type} to={browsePath(type)} text={pluralOf(type)} icon={<TypeIcon type={type} large />} />
          ))}
          {listedTools().map((tool) => (
            <Service key={tool.key} to={`/tools/${tool.key}`} text={tool.title} icon={<tool.icon aria-hidden className="type-icon type-icon-large type-icon-teal" />} />
          ))}
          <Service to="/browse/all" text="All resources" icon={<TypeIcon type="" large />} />
        </ul>
      </section>
      <section aria-labelledby="recent">
        <h2 id="recent">Resources</h2>
        {found.error && <Failure error={found.error} />}
        {!found.data && !found.error && <Loading />}
        {found.data?.length === 0 && (
          <Empty title="No resources have been made yet">
            <p>
              <Link to="/create">Create a resource</Link>
            </p>
          </Empty>
        )}
        {found.data !== undefined && found.data.length > 0 && (
          <table className="recent">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Type</th>
                <th scope="col">Resource group</th>
                <th scope="col">Last changed</th>
              </tr>
            </thead>
            <tbody>
              {found.data.map((row) => (
                <tr key={row.id}>
                  <td>
                    <span className="named">
                      <TypeIcon type={row.type} />
                      <Link to={resourcePath(row.id)}>
                        <Name>{row.name}</Name>
                      </Link>
                    </span>
                  </td>
                  <td>{singularOf(row.type)}</td>
                  <td>
                    <Name>{parseId(row.id)?.group ?? "-"}</Name>
                  </td>
                  <td>{row.changedTime === undefined ? "-" : ago(row.changedTime)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
    </div>
  );
}

function Service({ to, text, icon }: { to: string; text: string; icon: ReactNode }): ReactNode {
  return (
    <li>
      <a href={to} onClick={(event) => follow(event, to)}>
        {icon}
        <span>{text}</span>
      </a>
    </li>
  );
}
