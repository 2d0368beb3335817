// Text in the drawing: control characters shown, cut where there is no room for it. Widths are estimated, so that the same
// names give the same drawing on every computer.

import { visible } from "../shell/text";

/** Not to be written in XML at all. */
const NONCHARACTERS = /[\uFFFE\uFFFF]/g;
const NARROW = /[ijlftrI.,:;'|()[\]\/ -]/;
const BROAD = /[mwMW@%→]/;
const FULL = /[\u1100-\u11FF\u2E80-\uFFEF]|[\u{1F000}-\u{3FFFF}]/u;

export function widthOf(text: string, size: number): number {
  let em = 0;
  for (const letter of text) em += FULL.test(letter) ? 1.02 : BROAD.test(letter) ? 0.9 : NARROW.test(letter) ? 0.34 : /[A-Z]/.test(letter) ? 0.68 : 0.58;
  return em * size;
}

export function plain(text: string): string {
  return visible(text).replace(NONCHARACTERS, "�");
}

/** As much of a name as fits, with "…" where that is not all. */
export function clip(text: string, width: number, size: number): string {
  const all = [...plain(text)];
  if (widthOf(all.join(""), size) <= width) return all.join("");
  while (all.length > 1 && widthOf(all.join("") + "…", size) > width) all.pop();
  return all.join("").trimEnd() + "…";
}
