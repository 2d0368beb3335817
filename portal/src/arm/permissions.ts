// What the user may do at a scope, so that nothing is offered that would be refused. The API decides all the same.

import { list } from "./client";

interface Block {
  actions: string[];
  notActions: string[];
}

export type Can = (action: string) => boolean;

const KEPT = 30_000;
/** Roles and their assignments are no scopes: what counts is where they stand. */
const ROLES = /\/providers\/Microsoft\.Authorization\/[^/]+\/[^/]+$/i;
const known = new Map<string, { asked: number; can: Promise<Can> }>();

/** Evaluate `{scope}/providers/Microsoft.Authorization/permissions`; remembered for half a minute. */
export function permissions(scope: string): Promise<Can> {
  scope = scope.replace(ROLES, "");
  const key = scope.toLowerCase();
  const found = known.get(key);
  if (found !== undefined && Date.now() - found.asked < KEPT) return found.can;
  const can = list<Block>(`${scope}/providers/Microsoft.Authorization/permissions`, { apiVersion: "2022-04-01" }).then(
    (blocks): Can =>
      (action) =>
        blocks.some((block) => any(block.actions, action) && !any(block.notActions, action)),
    (): Can => () => false,
  );
  known.set(key, { asked: Date.now(), can });
  return can;
}

function any(patterns: readonly string[], action: string): boolean {
  return patterns.some((pattern) => {
    const parts = pattern.toLowerCase().split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`).test(action.toLowerCase());
  });
}
