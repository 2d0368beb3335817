// Which part of the drawing is seen, and how large: fitted at first, then the user's own until they fit it again.

import type { Layout } from "./layout";

export interface View {
  readonly x: number;
  readonly y: number;
  readonly k: number;
}

export interface Size {
  readonly w: number;
  readonly h: number;
}

const EDGE = 24;
/** Of the legend at the bottom. */
const FOOT = 24;
const LARGEST = 6;
const SMALLEST = 0.15;
/** The smallest text, 11 units, is then as small as anybody should be asked to read. */
const READABLE = 0.82;
const NATURAL = 1.15;

/** All of it where that is readable; else as much as is, from the top. */
export function fitted(layout: Pick<Layout, "w" | "h">, whole: Size, all: boolean): View {
  const size = { w: whole.w, h: whole.h - FOOT };
  const ratio = Math.min((size.w - 2 * EDGE) / Math.max(layout.w, 1), (size.h - 2 * EDGE) / Math.max(layout.h, 1));
  const k = Math.max(SMALLEST, Math.min(NATURAL, all ? ratio : Math.max(ratio, READABLE)));
  const [w, h] = [layout.w * k, layout.h * k];
  const x = w > size.w - 2 * EDGE ? (all ? EDGE : Math.min(EDGE, (size.w - w) / 2)) : (size.w - w) / 2;
  const y = h > size.h - 2 * EDGE ? EDGE : Math.max(EDGE, (size.h - h) / 2);
  return { x, y, k };
}

/** A part of the drawing in the middle of the screen, not larger than it is now. */
export function around(part: { x: number; y: number; w: number; h: number }, size: Size, now: View): View {
  const fit = fitted(part, size, true);
  const k = Math.min(fit.k, Math.max(now.k, READABLE));
  return { k, x: size.w / 2 - (part.x + part.w / 2) * k, y: (size.h - FOOT) / 2 - (part.y + part.h / 2) * k };
}

/** Zoom by a factor about a point of the screen, which stays where it is. */
export function zoomed(view: View, factor: number, at: { x: number; y: number }): View {
  const k = Math.max(SMALLEST, Math.min(LARGEST, view.k * factor));
  const by = k / view.k;
  return { x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by, k };
}

/** Moved just so far that a place is seen. */
export function showing(view: View, place: { x: number; y: number; w: number; h: number }, size: Size): View {
  const [left, top] = [place.x * view.k + view.x, place.y * view.k + view.y];
  const [right, bottom] = [left + place.w * view.k, top + place.h * view.k];
  const shift = (low: number, high: number, room: number): number => (low < 8 || high - low > room ? 8 - low : high > room - 8 ? room - 8 - high : 0);
  const dx = left >= 8 && right <= size.w - 8 ? 0 : shift(left, right, size.w);
  const dy = top >= 8 && bottom <= size.h - 8 ? 0 : shift(top, bottom, size.h);
  return dx === 0 && dy === 0 ? view : { ...view, x: view.x + dx, y: view.y + dy };
}
