// A picker of application security groups: those of a region, and those that are chosen already.

import type { ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useList } from "../arm/hooks";
import { nameOf, sameId } from "../arm/ids";
import { MultiChoiceField } from "../forms/fields";
import { choicesOf } from "./choices";

export const APPLICATION_GROUP = "Microsoft.Network/applicationSecurityGroups";

export function ApplicationGroupsField(props: {
  label: string;
  subscription: string;
  region: string | undefined;
  /** Ids as they are written where they come from. */
  chosen: readonly string[];
  onChange: (ids: string[]) => void;
  /** Ids that are not offered. */
  except?: readonly string[];
  onBlur?: () => void;
  error?: string | undefined;
}): ReactNode {
  const { label, subscription, region, chosen, onChange, except = [], onBlur, error } = props;
  const listed = useList<Resource>(`/subscriptions/${subscription}/providers/${APPLICATION_GROUP}`).data ?? [];
  // A group that the user may not read is in no list and stays chosen.
  const unlisted = chosen.filter((id) => !listed.some((one) => sameId(one.id, id))).map((id) => ({ id, name: nameOf(id) }) as Resource);
  const offered = [...listed.filter((one) => (one.location === region && !except.some((id) => sameId(id, one.id))) || chosen.some((id) => sameId(id, one.id))), ...unlisted];
  const written = (value: string): string => offered.find((one) => sameId(one.id, value))?.id ?? value;
  return (
    <MultiChoiceField
      label={label}
      required
      chosen={chosen.map((id) => id.toLowerCase())}
      choices={choicesOf(offered)}
      onChange={(values) => onChange(values.map(written))}
      placeholder="Select application security groups"
      error={error}
      {...(onBlur ? { onBlur } : {})}
    />
  );
}
