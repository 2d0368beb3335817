// A flow's way on the drawing: a line from hop to hop, numbered, and a cross where it is dropped.

import type { ReactNode } from "react";

import type { Hop, Route } from "./flow";
import type { Box, Layout } from "./layout";
import { networkAt, type Graph } from "./model";
import { Label } from "./marks";
import type { Palette } from "./palette";

type Spot = { readonly x: number; readonly y: number; readonly box: Box | undefined };

export function RouteLine({ route, layout, graph, palette }: { route: Route; layout: Layout; graph: Graph; palette: Palette }): ReactNode {
  const spots: Spot[] = [];
  for (const hop of route.hops) spots.push(spotOf(hop, layout, graph, spots.at(-1)));
  const broken = brokenAt(route);
  const colour = route.reachable ? palette.good : palette.bad;
  const parts = spots.slice(1).map((to, n) => ({ from: spots[n]!, to }));
  return (
    <g role="img" aria-label={route.reachable ? "The way of the flow, which passes" : "The way of the flow, which is dropped"} pointerEvents="none">
      {parts.map(({ from, to }, n) => (
        <path key={n} d={arc(from, to)} fill="none" stroke={n <= broken.index ? colour : palette.muted} strokeWidth={3.5} strokeLinecap="round" strokeOpacity={0.85} {...(n < broken.index || broken.index === Infinity ? {} : { strokeDasharray: "9 8" })} />
      ))}
      {spots.map((spot, n) => (
        <g key={n}>
          <circle cx={spot.x} cy={spot.y} r={10} fill={colour} stroke={palette.ground} strokeWidth={2} />
          <Label x={spot.x} y={spot.y + 4} size={11} weight={600} fill={palette.ground} width={20} anchor="middle" text={String(n + 1)} />
        </g>
      ))}
      {broken.index !== Infinity && <Cross at={crossAt(spots, broken)} palette={palette} />}
    </g>
  );
}

interface Broken {
  /** The part of the way on which the flow ends: 0 is the one from the first hop to the second; Infinity where none is. */
  readonly index: number;
  readonly leaving: boolean;
}

function brokenAt(route: Route): Broken {
  const at = route.hops.findIndex((hop) => hop.troubles.length > 0);
  if (at < 0) return { index: Infinity, leaving: false };
  const leaving = route.hops[at]!.troubles[0]!.leaving;
  return { index: Math.max(0, leaving ? at : at - 1), leaving };
}

/** Beside the place that refuses: a quarter or three quarters of the way. */
function crossAt(spots: readonly Spot[], { index, leaving }: Broken): { x: number; y: number } {
  const from = spots[Math.min(index, spots.length - 1)]!;
  const to = spots[Math.min(index + 1, spots.length - 1)]!;
  return along(from, to, leaving ? 0.3 : 0.72);
}

function Cross({ at, palette }: { at: { x: number; y: number }; palette: Palette }): ReactNode {
  return (
    <g role="img" aria-label="Dropped here">
      <circle cx={at.x} cy={at.y} r={13} fill={palette.bad} stroke={palette.ground} strokeWidth={2.5} />
      <path d={`M${at.x - 5} ${at.y - 5} l10 10 M${at.x + 5} ${at.y - 5} l-10 10`} stroke={palette.ground} strokeWidth={3} strokeLinecap="round" />
    </g>
  );
}

/** The middle of the upper edge of the hop's place, or of the network that hides it; beside the last one for what is nowhere. */
function spotOf(hop: Hop, layout: Layout, graph: Graph, before: Spot | undefined): Spot {
  const key = hop.key;
  const hidden = key === undefined ? undefined : networkAt(graph, key)?.key;
  const box = layout.boxes.find((one) => one.key === key) ?? layout.boxes.find((one) => one.key === hidden);
  if (box !== undefined) return { x: box.x + box.w - 4, y: box.y + box.h / 2, box };
  if (before === undefined) return { x: 0, y: 0, box: undefined };
  const [x, y] = key === "internet" ? [layout.w / 2, -30] : [before.x + 90, before.y + 56];
  return { x, y, box: undefined };
}

/** Bent away from the straight line, so that it does not hide what lies between. */
function bend(from: Spot, to: Spot): { x: number; y: number } {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const by = Math.min(60, length / 4);
  return { x: (from.x + to.x) / 2 - (dy / length) * by * Math.sign(dx || 1), y: (from.y + to.y) / 2 + Math.abs(dx / length) * by };
}

function arc(from: Spot, to: Spot): string {
  const { x, y } = bend(from, to);
  return `M${from.x} ${from.y} Q${x} ${y} ${to.x} ${to.y}`;
}

function along(from: Spot, to: Spot, t: number): { x: number; y: number } {
  const c = bend(from, to);
  const mix = (a: number, b: number, d: number): number => (1 - t) ** 2 * a + 2 * (1 - t) * t * b + t ** 2 * d;
  return { x: mix(from.x, c.x, to.x), y: mix(from.y, c.y, to.y) };
}
