// Resources as the choices of a dropdown: by name, with their group beside it where two have the same name.

import type { Resource } from "../arm/client";
import { parseId } from "../arm/ids";
import type { Choice } from "../forms/fields";
import { visible } from "../shell/text";

export const NONE = "none";

/** Values are ids in lower case. */
export function choicesOf(resources: readonly Resource[]): Choice[] {
  const seen = new Map<string, number>();
  for (const { name } of resources) seen.set(name.toLowerCase(), (seen.get(name.toLowerCase()) ?? 0) + 1);
  return resources.map((one): Choice => {
    const several = (seen.get(one.name.toLowerCase()) ?? 0) > 1;
    return { value: one.id.toLowerCase(), text: one.name, ...(several ? { about: visible(parseId(one.id)?.group ?? "") } : {}) };
  });
}
