// A field that names another resource: one that is there, one that the wizard is to make first, or none.

import type { ReactNode } from "react";

import type { Resource } from "../arm/client";
import { nameOf } from "../arm/ids";
import { nameError } from "../forms/checks";
import { DropdownField } from "../forms/fields";
import { CreateNew, type GroupChoice } from "../forms/project";
import { groupOf, inGroup, names } from "./basics";
import { idIn } from "./deployment";

export type Pick = { readonly kind: "none" } | { readonly kind: "new"; readonly name: string } | { readonly kind: "there"; readonly id: string };

export const NONE: Pick = { kind: "none" };

export function there(id: string): Pick {
  return { kind: "there", id };
}

export function fresh(name: string): Pick {
  return { kind: "new", name };
}

/** The id of what was picked, be it there or still to be made. */
export function pickedId(pick: Pick, type: string, project: { subscription: string; group: GroupChoice }): string | undefined {
  if (pick.kind === "none") return undefined;
  return pick.kind === "there" ? pick.id : idIn(project, type, pick.name);
}

export function pickText(pick: Pick, none = "None"): string {
  if (pick.kind === "none") return none;
  return pick.kind === "new" ? `(New) ${pick.name}` : nameOf(pick.id);
}

export function PickField(props: {
  label: string;
  type: string;
  group: GroupChoice;
  value: Pick;
  onChange: (pick: Pick) => void;
  /** What may be chosen. */
  existing: readonly Resource[];
  /** All of the type, whose names in the group a new one must differ from. */
  all: readonly Resource[] | undefined;
  /** The text of choosing nothing, where that is possible. */
  none?: string;
  required?: boolean;
  error?: string | undefined;
  info?: string;
  /** "Create a public IP address", where the link says more than "Create new". */
  create?: string;
  /** What stands below in place of the popover for a name. */
  below?: ReactNode;
}): ReactNode {
  const { label, type, group, value, onChange, existing, all, none, required = false, error, info, create, below } = props;
  const choices = existing.map((found) => ({ value: found.id, text: found.name, about: groupOf(found) }));
  const given = [
    ...(none === undefined ? [] : [{ value: "none", text: none }]),
    ...(value.kind === "new" ? [{ value: "new", text: `(New) ${value.name}` }] : []),
    ...choices,
  ];
  const chosen = value.kind === "there" ? choices.find((choice) => choice.value.toLowerCase() === value.id.toLowerCase())?.value : value.kind;
  const check = (name: string): string | undefined => nameError(type, name, names(inGroup(all, group)));
  return (
    <DropdownField
      label={label}
      required={required}
      value={chosen === "none" && none === undefined ? undefined : chosen}
      choices={given}
      error={error}
      {...(info === undefined ? {} : { info })}
      onChange={(picked) => onChange(picked === "none" ? NONE : picked === "new" ? value : there(picked))}
      below={below ?? <CreateNew what={label} check={check} onCreate={(name) => onChange(fresh(name))} {...(create === undefined ? {} : { text: create })} />}
    />
  );
}
