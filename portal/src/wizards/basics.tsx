// What nearly every wizard begins with: subscription, resource group, name and region, and the tags of its last tab but one.

import { Button, Input } from "@fluentui/react-components";
import { Delete20Regular } from "@fluentui/react-icons";
import { useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useList } from "../arm/hooks";
import { DEFAULT_REGION, NO_GROUP, type GroupChoice } from "../forms/project";
import { useLocationName, useSession } from "../shell/session";
import { Failure } from "../shell/Blade";

/** The subscription is no part of a form: what its fields are checked against is read from there. */
export interface Project {
  readonly group: GroupChoice;
  readonly region: string;
  readonly tags: readonly TagRow[];
}

export interface TagRow {
  readonly name: string;
  readonly value: string;
}

/** The subscription, and what a form begins with; `?group=` is known where it was opened from a group. */
export function useProject(known: URLSearchParams): { subscription: string; setSubscription: (id: string) => void; initial: Project } {
  const { subscriptions } = useSession();
  const [subscription, setSubscription] = useState(subscriptions[0]?.subscriptionId ?? "");
  const group = known.get("group");
  return { subscription, setSubscription, initial: { group: group === null ? NO_GROUP : { name: group, isNew: false }, region: DEFAULT_REGION, tags: [] } };
}

/** All resources of a type that the user sees in a subscription. */
export function useAll(subscription: string, type: string): readonly Resource[] | undefined {
  return useList<Resource>(subscription === "" ? undefined : `/subscriptions/${subscription}/providers/${type}`).data;
}

/** Those of one group. */
export function inGroup(resources: readonly Resource[] | undefined, group: GroupChoice): readonly Resource[] {
  return (resources ?? []).filter((found) => groupOf(found).toLowerCase() === group.name.toLowerCase());
}

export function groupOf(resource: Resource): string {
  return resource.id.split("/")[4] ?? "";
}

export function names(resources: readonly Resource[]): string[] {
  return resources.map((found) => found.name);
}

/** Subscription, group, name and region as the review tab says them. */
export function useProjectReview(): (project: { subscription: string; group: GroupChoice; region: string }, label: string, name: string) => [string, string][] {
  const { subscriptions } = useSession();
  const locationName = useLocationName();
  return ({ subscription, group, region }, label, name) => [
    ["Subscription", subscriptions.find((found) => found.subscriptionId === subscription)?.displayName ?? ""],
    ["Resource group", (group.isNew ? "(New) " : "") + group.name],
    [label, name],
    ["Region", locationName(region)],
  ];
}

export function tagsOf(rows: readonly TagRow[]): Record<string, string> {
  return Object.fromEntries(rows.filter((row) => row.name !== "").map((row) => [row.name, row.value]));
}

export function tagsReview(rows: readonly TagRow[]): { title: string; values: [string, string][] }[] {
  const tags = Object.entries(tagsOf(rows));
  return tags.length === 0 ? [] : [{ title: "Tags", values: tags }];
}

export function tagsError(rows: readonly TagRow[]): string | undefined {
  const given = rows.filter((row) => row.name !== "" || row.value !== "").map((row) => row.name.toLowerCase());
  if (given.includes("")) return "A tag needs a name.";
  if (new Set(given).size < given.length) return "Two tags have the same name: case does not count.";
  if (given.length > 50) return "A resource has 50 tags at most.";
  if (rows.some((row) => row.name.length > 512 || row.value.length > 256)) return "A tag's name has 512 characters at most, its value 256.";
  return rows.some((row) => /[<>%&\\?/]/.test(row.name)) ? "A tag's name cannot hold < > % & \\ ? or /." : undefined;
}

export function TagFields({ rows, onChange, error }: { rows: readonly TagRow[]; onChange: (rows: TagRow[]) => void; error: string | undefined }): ReactNode {
  const shown = [...rows, { name: "", value: "" }];
  const set = (n: number, change: Partial<TagRow>): void => onChange(shown.map((row, at) => (at === n ? { ...row, ...change } : row)).filter((row, at) => at < shown.length - 1 || row.name !== "" || row.value !== ""));
  return (
    <>
      <p className="lead">Tags are name/value pairs that enable you to categorize resources. All resources of this deployment get them.</p>
      {error !== undefined && <Failure error={new Error(error)} title="The tags cannot be used" />}
      <div role="table" aria-label="Tags" className="tag-table">
        <div role="row" className="tag-row tag-head">
          <span role="columnheader">Name</span>
          <span role="columnheader">Value</span>
          <span role="columnheader">
            <span className="hidden">Actions</span>
          </span>
        </div>
        {shown.map((row, n) => (
          <div role="row" className="tag-row" key={n}>
            <span role="cell">
              <Input aria-label={`Name of tag ${n + 1}`} value={row.name} onChange={(_, { value }) => set(n, { name: value })} />
            </span>
            <span role="cell">
              <Input aria-label={`Value of tag ${n + 1}`} value={row.value} onChange={(_, { value }) => set(n, { value })} />
            </span>
            <span role="cell">
              {n < rows.length && <Button appearance="subtle" aria-label={`Delete tag ${n + 1}`} icon={<Delete20Regular />} onClick={() => onChange(rows.filter((_, at) => at !== n))} />}
            </span>
          </div>
        ))}
      </div>
    </>
  );
}
