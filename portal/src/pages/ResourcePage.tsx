// A resource: its menu on the left, the chosen entry beside it. Made from the type's declaration, and from what is registered.

import { Input } from "@fluentui/react-components";
import { List20Regular, Search16Regular } from "@fluentui/react-icons";
import { Suspense, useState, type ReactNode } from "react";

import { ArmError, type Asked } from "../arm/client";
import { useResource } from "../arm/hooks";
import { GROUP_TYPE, parseId, parseSegments, SUBSCRIPTION_TYPE } from "../arm/ids";
import { childTypes, pluralOf, singularOf } from "../arm/types";
import { Blade, Bulkhead, Empty, Failure, Loading, type Crumb } from "../shell/Blade";
import { TypeIcon } from "../shell/icons";
import { browsePath, resourcePath } from "../shell/router";
import { follow } from "../shell/text";
import { Children } from "./Children";
import { menuOf, type MenuEntry } from "./registry";

/** What is asked for with a resource of some types: a machine's power state is not part of its plain document. */
const ASKED: Record<string, Asked | undefined> = {
  [SUBSCRIPTION_TYPE.toLowerCase()]: { apiVersion: "2022-12-01" },
  "microsoft.compute/virtualmachines": { query: { $expand: "instanceView" } },
};

export function ResourcePage({ segments }: { segments: readonly string[] }): ReactNode {
  const id = parseSegments(segments);
  const asked = (id && ASKED[id.type.toLowerCase()]) ?? {};
  const found = useResource(id?.text, asked);
  if (id === undefined || id.rest.length > 1) return <Failure error={new Error("This address names no resource.")} />;
  const entries = entriesOf(id.type);
  const key = id.rest[0] ?? entries[0]?.key;
  const entry = entries.find((one) => one.key === key);
  const name = found.data?.name ?? id.name;
  return (
    <Blade
      title={name}
      {...(entry !== undefined && entry !== entries[0] ? { entry: entry.title } : {})}
      subtitle={singularOf(id.type)}
      icon={<TypeIcon type={id.type} large />}
      crumbs={crumbs(id.text)}
    >
      <div className="resource">
        <ResourceMenu id={id.text} name={name} entries={entries} chosen={key} />
        <div className="resource-body">
          {found.error !== undefined && (found.error instanceof ArmError && found.error.status === 404 ? <Gone error={found.error} /> : <Failure error={found.error} />)}
          {found.data === undefined && found.error === undefined && <Loading />}
          {found.data !== undefined && entry === undefined && <Empty title="There is no such page" />}
          {found.data !== undefined && entry !== undefined && (
            <Bulkhead about={`${id.text}/${entry.key}`}>
              <Suspense fallback={<Loading />}>
                <entry.component key={`${id.text.toLowerCase()}/${entry.key}`} id={id} resource={found.data} reload={found.reload} />
              </Suspense>
            </Bulkhead>
          )}
        </div>
      </div>
    </Blade>
  );
}

const LISTS = new Map<string, MenuEntry[]>();

/** What is registered for a type, and a list for each child type that no registered page shows. */
function entriesOf(type: string): MenuEntry[] {
  const known = LISTS.get(type.toLowerCase());
  if (known !== undefined) return known;
  const registered = menuOf(type);
  const lists = childTypes(type)
    .filter((child) => !registered.some((entry) => entry.child?.toLowerCase() === child.type.toLowerCase()))
    .map((child, n): MenuEntry => {
      const key = child.type.split("/").at(-1)!;
      return { type, key, title: child.plural, group: "Settings", icon: List20Regular, order: 50 + n, component: (props) => <Children {...props} child={child} /> };
    });
  const found = [...registered, ...lists].sort((one, two) => one.order - two.order);
  LISTS.set(type.toLowerCase(), found);
  return found;
}

function Gone({ error }: { error: ArmError }): ReactNode {
  return (
    <Empty title="Resource not found">
      <Failure error={error} />
    </Empty>
  );
}

/** Where it comes from: the list of its type, or for a nested resource the one it lies in. */
function crumbs(id: string): Crumb[] {
  const parsed = parseId(id);
  if (parsed === undefined) return [];
  const above = parsed.parent === undefined ? undefined : parseId(parsed.parent);
  if (above !== undefined && above.type !== GROUP_TYPE && above.type !== SUBSCRIPTION_TYPE) {
    return [...crumbs(above.text), { text: above.name, to: resourcePath(above.text) }];
  }
  if (parsed.type === SUBSCRIPTION_TYPE) return [];
  return [{ text: pluralOf(parsed.type), to: browsePath(parsed.type) }];
}

function ResourceMenu({ id, name, entries, chosen }: { id: string; name: string; entries: readonly MenuEntry[]; chosen: string | undefined }): ReactNode {
  const [filter, setFilter] = useState("");
  const shown = entries.filter((entry) => entry.title.toLowerCase().includes(filter.toLowerCase()));
  const groups = [...new Set(shown.map((entry) => entry.group))];
  return (
    <nav className="menu" aria-label={`Menu of ${name}`}>
      <Input size="small" aria-label="Search menu" placeholder="Search" contentBefore={<Search16Regular />} value={filter} onChange={(_, { value }) => setFilter(value)} />
      {groups.map((group) => (
        <div key={group ?? ""} className="menu-group">
          {group !== undefined && <h2>{group}</h2>}
          <ul>
            {shown
              .filter((entry) => entry.group === group)
              .map((entry) => {
                const to = entry === entries[0] ? resourcePath(id) : resourcePath(id, entry.key);
                return (
                  <li key={entry.key}>
                    <a href={to} aria-current={entry.key === chosen ? "page" : undefined} onClick={(event) => follow(event, to)}>
                      <entry.icon aria-hidden className="type-icon" />
                      <span>{entry.title}</span>
                    </a>
                  </li>
                );
              })}
          </ul>
        </div>
      ))}
    </nav>
  );
}
