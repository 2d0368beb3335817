// Words and badges of the drawing.

import type { ReactNode } from "react";

import { FONT, type Palette } from "./palette";
import { clip, widthOf } from "./text";

export function Label(props: { x: number; y: number; size: number; fill: string; width: number; text: string; weight?: number; anchor?: "start" | "middle" | "end" }): ReactNode {
  const { x, y, size, fill, width, text, weight = 400, anchor = "start" } = props;
  return (
    <text aria-hidden x={x} y={y} fontSize={size} fontWeight={weight} fontFamily={FONT} fill={fill} textAnchor={anchor} direction="ltr" unicodeBidi="isolate" pointerEvents="none">
      {clip(text, width, weight > 400 ? size * 1.06 : size)}
    </text>
  );
}

export function Badge({ x, y, w, text, palette }: { x: number; y: number; w: number; text: string; palette: Palette }): ReactNode {
  return (
    <>
      <rect x={x} y={y} width={w} height={16} rx={3} fill={palette.badge} />
      <Label x={x + w / 2} y={y + 12} size={10.5} weight={600} fill={palette.badgeText} width={w} anchor="middle" text={text} />
    </>
  );
}

/** "NSG nsg-1", "Routes rt-1", side by side. */
export function Badges({ at, width, badges, palette }: { at: readonly [number, number]; width: number; badges: readonly { tag: string; name: string }[]; palette: Palette }): ReactNode {
  const most = badges.length > 1 ? width / 2 - 3 : width;
  let x = at[0];
  return badges.map(({ tag, name }) => {
    const text = `${tag} ${name}`;
    const w = Math.min(widthOf(text, 11.2) + 14, most);
    const left = x;
    x += w + 6;
    return (
      <g key={tag}>
        <rect x={left} y={at[1]} width={w} height={17} rx={3} fill={palette.badge} />
        <Label x={left + 6} y={at[1] + 12.5} size={10.5} weight={600} fill={palette.badgeText} width={w - 8} text={text} />
      </g>
    );
  });
}
