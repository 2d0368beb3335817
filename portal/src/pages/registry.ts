// What the portal is made of beyond the generic pages. A file `*.register.tsx` anywhere below `src` calls these functions;
// all such files are found by `main.tsx`, so that a page is added without touching any other file. Components are given as
// `lazy(() => import("./page"))`, so that the first load carries none of them.

import type { ComponentType } from "react";
import type { FluentIcon } from "@fluentui/react-icons";

import type { Resource } from "../arm/client";
import type { ParsedId } from "../arm/ids";

/** What a page of a resource is given. */
export interface ResourceProps {
  readonly id: ParsedId;
  readonly resource: Resource;
  readonly reload: () => void;
}

/** An entry of a resource's menu. */
export interface MenuEntry {
  /** The type it belongs to; `*` for every type. */
  readonly type: string;
  /** Last segment of the address: `peerings`. */
  readonly key: string;
  /** As in Azure's portal: "Peerings". */
  readonly title: string;
  /** Heading it stands under; none for the first entries. */
  readonly group?: "Settings" | "Monitoring" | "Automation" | "Help" | "Networking" | "Connect";
  readonly icon: FluentIcon;
  /** Entries stand in the order of this number; the generic ones are 0 to 99. */
  readonly order: number;
  /** The child type whose resources the page shows: the generic list of them is left out. */
  readonly child?: string;
  /** Types to which an entry of `*` does not belong. */
  readonly except?: readonly string[];
  readonly component: ComponentType<ResourceProps>;
}

/** A form that makes a resource, at `/create/{type}`. */
export interface Wizard {
  readonly type: string;
  /** "Create virtual network" */
  readonly title: string;
  /** Shown on a menu under "+ Create" where a list has more than one: "Azure virtual machine". */
  readonly label?: string;
  /** Made below a parent that must be known: `?parent={id}`. It stands in the parent's list alone. */
  readonly nested?: boolean;
  readonly component: ComponentType<{ known: URLSearchParams }>;
}

/** A page of its own, at `/tools/{key}`. */
export interface Tool {
  readonly key: string;
  readonly title: string;
  readonly icon: FluentIcon;
  /** Whether it stands in the left navigation. */
  readonly listed: boolean;
  readonly component: ComponentType<{ rest: readonly string[]; query: URLSearchParams }>;
}

/** A column of a type's list, besides name, type, group and location. */
export interface Column {
  readonly type: string;
  readonly key: string;
  readonly title: string;
  readonly width: number;
  readonly value: (resource: Resource) => string;
}

/** A line of the overview's essentials. */
export interface Essential {
  readonly type: string;
  readonly title: string;
  /** Text, or links to other resources. Undefined shows a dash. */
  readonly value: (resource: Resource) => string | undefined | { id: string; text?: string }[];
  /** Shown in place of `value`, where it takes more than the resource to say it. */
  readonly view?: ComponentType<{ resource: Resource }>;
}

/** A button of a resource's command bar, besides Delete and Refresh. */
export interface Command {
  readonly type: string;
  readonly key: string;
  readonly title: string;
  readonly icon: FluentIcon;
  readonly order: number;
  /** Action that the user's roles must allow: `Microsoft.Compute/virtualMachines/start/action`. */
  readonly permission: string;
  readonly enabled?: (resource: Resource) => boolean;
  /** Either does something, or opens a page of the portal by returning its address. */
  readonly run: (resource: Resource) => string | undefined | Promise<unknown>;
}

/** What deleting a resource of a type means beyond its DELETE (a peering's other half). */
export interface Deletion {
  readonly type: string;
  /** Said in the question. */
  readonly warning?: string;
  readonly run: (resource: Resource) => Promise<void>;
}

const menu: MenuEntry[] = [];
const wizards: Wizard[] = [];
const tools: Tool[] = [];
const columns: Column[] = [];
const essentials: Essential[] = [];
const commands: Command[] = [];
const deletions: Deletion[] = [];

export const register = {
  menu: (...entries: MenuEntry[]): void => void menu.push(...entries),
  wizard: (...found: Wizard[]): void => void wizards.push(...found),
  tool: (...found: Tool[]): void => void tools.push(...found),
  column: (...found: Column[]): void => void columns.push(...found),
  essential: (...found: Essential[]): void => void essentials.push(...found),
  command: (...found: Command[]): void => void commands.push(...found),
  deletion: (...found: Deletion[]): void => void deletions.push(...found),
};

function of<T extends { type: string }>(all: readonly T[], type: string): T[] {
  return all.filter((one) => one.type === "*" || one.type.toLowerCase() === type.toLowerCase());
}

export const menuOf = (type: string): MenuEntry[] =>
  of(menu, type)
    .filter((entry) => !entry.except?.some((other) => other.toLowerCase() === type.toLowerCase()))
    .sort((one, two) => one.order - two.order);
export const wizardsOf = (type: string): Wizard[] => of(wizards, type);
export const columnsOf = (type: string): Column[] => of(columns, type);
export const essentialsOf = (type: string): Essential[] => of(essentials, type);
export const commandsOf = (type: string): Command[] => of(commands, type).sort((one, two) => one.order - two.order);
export const deletionOf = (type: string): Deletion | undefined => of(deletions, type)[0];
export const toolOf = (key: string): Tool | undefined => tools.find((tool) => tool.key === key);
export const listedTools = (): Tool[] => tools.filter((tool) => tool.listed);
export const allWizards = (): Wizard[] => [...wizards].sort((one, two) => one.title.localeCompare(two.title));
