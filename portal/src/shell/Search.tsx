// The search box: services (lists, tools, wizards) by their names, and resources by theirs. A combobox with a list of options.

import { Input } from "@fluentui/react-components";
import { Search20Regular } from "@fluentui/react-icons";
import { useEffect, useId, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode } from "react";

import { get, list, type Resource } from "../arm/client";
import { useLoaded } from "../arm/hooks";
import { GROUP_TYPE, parseId } from "../arm/ids";
import { singularOf, topTypes } from "../arm/types";
import { listedTools } from "../pages/registry";
import { TypeIcon } from "./icons";
import { browsePath, navigate, resourcePath } from "./router";
import { useSession } from "./session";
import { Name } from "./text";

interface Hit {
  readonly to: string;
  readonly text: string;
  readonly about: string;
  readonly icon: ReactNode;
}

const MOST = 8;

export function Search(): ReactNode {
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(0);
  const box = useRef<HTMLInputElement>(null);
  const id = useId();
  const services = open ? serviceHits(text) : [];
  const resources = useResourceHits(open ? text : "");
  const hits = [...services, ...resources];
  const chosen = Math.min(at, hits.length - 1);

  // In the same task that shows the box: a key pressed as soon as it is seen must not be lost.
  useLayoutEffect(() => {
    const shortcut = (event: globalThis.KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && event.target.closest("input,textarea,[contenteditable]");
      if ((event.key === "/" && event.altKey) || (event.key === "/" && !typing && !event.ctrlKey)) {
        event.preventDefault();
        box.current?.focus();
      }
    };
    addEventListener("keydown", shortcut);
    return () => removeEventListener("keydown", shortcut);
  }, []);

  const go = (hit: Hit | undefined): void => {
    if (hit === undefined) return;
    setText("");
    setOpen(false);
    box.current?.blur();
    navigate(hit.to);
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") setAt((chosen + 1) % Math.max(hits.length, 1));
    else if (event.key === "ArrowUp") setAt((chosen - 1 + hits.length) % Math.max(hits.length, 1));
    else if (event.key === "Enter") go(hits[chosen]);
    else if (event.key === "Escape") setOpen(false);
    else return;
    event.preventDefault();
  };
  const option = (hit: Hit, n: number): ReactNode => (
    <div
      key={hit.to}
      id={`${id}-${n}`}
      role="option"
      aria-selected={n === chosen}
      className={n === chosen ? "hit hit-chosen" : "hit"}
      onMouseDown={(event) => event.preventDefault()}
      onClick={() => go(hit)}
    >
      {hit.icon}
      <span className="hit-text">
        <Name>{hit.text}</Name>
      </span>
      <span className="hit-about">
        <Name>{hit.about}</Name>
      </span>
    </div>
  );
  const group = (title: string, found: readonly Hit[], from: number): ReactNode =>
    found.length > 0 && (
      <div role="group" aria-label={title}>
        <div className="hit-title" role="presentation">
          {title}
        </div>
        {found.map((hit, n) => option(hit, from + n))}
      </div>
    );
  return (
    <div className="search" role="search">
      <Input
        className="search-box"
        input={{ ref: box, role: "combobox", "aria-expanded": open, "aria-controls": `${id}-list`, "aria-autocomplete": "list", ...(open && hits.length > 0 ? { "aria-activedescendant": `${id}-${chosen}` } : {}) }}
        aria-label="Search resources and services"
        placeholder="Search resources and services (Alt+/)"
        contentBefore={<Search20Regular />}
        value={text}
        onChange={(_, { value }) => {
          setText(value);
          setAt(0);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={key}
        type="search"
        autoComplete="off"
      />
      {open && (
        <div className="hits" id={`${id}-list`} role="listbox" aria-label="Search results">
          {group("Services", services, 0)}
          {group("Resources", resources, services.length)}
          {hits.length === 0 && (
            <div className="hit-none" role="option" aria-selected={false} aria-disabled>
              No results were found.
            </div>
          )}
        </div>
      )}
    </div>
  );
}

function serviceHits(text: string): Hit[] {
  const wanted = text.trim().toLowerCase();
  const found: Hit[] = [
    { to: "/browse/all", text: "All resources", about: "", icon: <TypeIcon type="" /> },
    ...topTypes().map((type) => ({ to: browsePath(type.type), text: type.plural, about: "", icon: <TypeIcon type={type.type} /> })),
    ...listedTools().map((tool) => ({ to: `/tools/${tool.key}`, text: tool.title, about: "", icon: <tool.icon aria-hidden className="type-icon" /> })),
  ];
  return found
    .filter((hit) => hit.text.toLowerCase().includes(wanted))
    .sort((one, two) => Number(two.text.toLowerCase().startsWith(wanted)) - Number(one.text.toLowerCase().startsWith(wanted)))
    .slice(0, MOST);
}

function useResourceHits(text: string): Hit[] {
  const { subscriptions } = useSession();
  const [wanted, setWanted] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setWanted(text.trim().toLowerCase()), 200);
    return () => clearTimeout(timer);
  }, [text]);
  const ready = wanted.length > 0 && text !== "";
  const found = useLoaded(ready ? `search ${wanted}` : undefined, async (signal) => {
    const words = wanted.replaceAll("'", "''");
    const asked = { signal, query: { $filter: `substringof('${words}', name)`, $top: String(MOST) } };
    const answers = await Promise.all(
      subscriptions.map(async ({ subscriptionId }) => {
        const groups = await list<Resource>(`/subscriptions/${subscriptionId}/resourceGroups`, { signal });
        const named = groups.filter((group) => group.name.toLowerCase().includes(wanted));
        return [...named.map((group) => ({ ...group, type: GROUP_TYPE })), ...(await get<{ value: Resource[] }>(`/subscriptions/${subscriptionId}/resources`, asked)).value];
      }),
    );
    return answers.flat().slice(0, MOST);
  });
  return (ready ? (found.data ?? []) : []).map((resource) => ({
    to: resourcePath(resource.id),
    text: resource.name,
    about: [singularOf(resource.type), parseId(resource.id)?.group].filter(Boolean).join(" · "),
    icon: <TypeIcon type={resource.type} />,
  }));
}
