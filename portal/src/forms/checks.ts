// What can be seen to be wrong before the API is asked: required fields, names, address ranges. The API has the last word.

import { typeOf } from "../arm/types";

export function required(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === "" ? "The value must not be empty." : undefined;
}

/** A name by the rule of its type; `taken` are those it must differ from, without case. */
export function nameError(type: string, name: string, taken: readonly string[] = []): string | undefined {
  const empty = required(name);
  if (empty) return empty;
  const pattern = typeOf(type)?.namePattern;
  if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, "u").test(name)) {
    return "The name must begin with a letter or number, end with a letter, number or underscore, and may contain only letters, numbers, underscores, periods or hyphens.";
  }
  return taken.some((other) => other.toLowerCase() === name.toLowerCase()) ? `The name '${name}' is already used.` : undefined;
}

/** Group names also take parentheses and letters of any alphabet; they do not end in a period. */
export function groupNameError(name: string, taken: readonly string[] = []): string | undefined {
  const empty = required(name);
  if (empty) return empty;
  if (name.length > 90) return "Resource group names are 90 characters or fewer.";
  if (!/^[\p{L}\p{N}_().-]*[\p{L}\p{N}_()-]$/u.test(name)) {
    return "Resource group names only allow alphanumeric characters, periods, underscores, hyphens and parenthesis and cannot end in a period.";
  }
  return taken.some((other) => other.toLowerCase() === name.toLowerCase()) ? "A resource group with the same name already exists." : undefined;
}
