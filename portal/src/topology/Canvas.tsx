// The drawing on the screen: pan by dragging or arrows with Shift, zoom by wheel or + and -, 0 fits; arrows walk from place to
// place, Enter opens, Space chooses. What changes leaves the view where it is.

import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type PointerEvent, type ReactNode, type Ref } from "react";

import { Drawing, type Marks } from "./Drawing";
import type { Layout } from "./layout";
import type { Graph } from "./model";
import type { Palette } from "./palette";
import { touched, type Route } from "./flow";
import { around, fitted, showing, zoomed, type Size, type View } from "./view";

const STEP = 1.25;
/** From here on, closed networks tell what is in them. */
const NEAR = 1.9;
const CLICK = 4;

export interface Control {
  zoom(factor: number): void;
  fit(): void;
  svg(): SVGSVGElement | null;
}

interface Props {
  graph: Graph;
  layout: Layout;
  palette: Palette;
  marks: Omit<Marks, "stop">;
  /** A key to another drawing altogether: it is fitted anew. */
  about: string;
  control: Ref<Control>;
  onChoose: (key: string) => void;
  onOpen: (key: string) => void;
  onToggle: (key: string) => void;
}

export function Canvas({ graph, layout, palette, marks, about, control, onChoose, onOpen, onToggle }: Props): ReactNode {
  const frame = useRef<HTMLDivElement>(null);
  const svg = useRef<SVGSVGElement>(null);
  const [size, setSize] = useState<Size>({ w: 0, h: 0 });
  const [view, setView] = useState<View>({ x: 0, y: 0, k: 1 });
  const [stop, setStop] = useState<string>();
  const moved = useRef(false);
  const anchor = useRef<{ key: string; x: number; y: number }>(undefined);

  useLayoutEffect(() => {
    const watched = frame.current!;
    const measure = (): void => setSize({ w: watched.clientWidth, h: watched.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(watched);
    measure();
    return () => observer.disconnect();
  }, []);

  useLayoutEffect(() => {
    moved.current = false;
  }, [about]);

  useLayoutEffect(() => {
    if (size.w === 0) return;
    const held = anchor.current;
    anchor.current = undefined;
    const box = held && layout.boxes.find((one) => one.key === held.key);
    if (held && box) setView((before) => ({ ...before, x: held.x - box.x * before.k, y: held.y - box.y * before.k }));
    else if (!moved.current) setView(fitted(layout, size, false));
  }, [layout, size, about]);

  const { route } = marks;
  const seen = useRef<Route>(undefined);
  useLayoutEffect(() => {
    if (route === undefined || route === seen.current) return;
    const keys = new Set(route.hops.map((hop) => hop.key));
    const networks = new Set(touched(route, graph));
    const boxes = layout.boxes.filter((box) => keys.has(box.key) || (networks.has(box.key) && box.kind === "network"));
    if (boxes.length === 0) return;
    seen.current = route;
    const [x, y] = [Math.min(...boxes.map((box) => box.x)), Math.min(...boxes.map((box) => box.y))];
    const [right, low] = [Math.max(...boxes.map((box) => box.x + box.w)), Math.max(...boxes.map((box) => box.y + box.h))];
    moved.current = true;
    setView((before) => around({ x, y, w: right - x, h: low - y }, size, before));
  }, [route, layout, graph, size]);

  const change = (to: (before: View) => View): void => {
    moved.current = true;
    setView(to);
  };
  const middle = { x: size.w / 2, y: size.h / 2 };
  const found: Control = {
    zoom: (factor) => change((before) => zoomed(before, factor, middle)),
    fit: () => {
      moved.current = false;
      setView(fitted(layout, size, true));
    },
    svg: () => svg.current,
  };
  useEffect(() => {
    if (typeof control === "function") control(found);
    else if (control) control.current = found;
  });

  useEffect(() => {
    const watched = svg.current!;
    const wheel = (event: WheelEvent): void => {
      event.preventDefault();
      const area = watched.getBoundingClientRect();
      const at = { x: event.clientX - area.left, y: event.clientY - area.top };
      change((before) => zoomed(before, Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), at));
    };
    watched.addEventListener("wheel", wheel, { passive: false });
    return () => watched.removeEventListener("wheel", wheel);
  }, []);

  const drag = useDrag((dx, dy) => change((before) => ({ ...before, x: before.x + dx, y: before.y + dy })));

  const places = placesOf(layout);
  const first = stop !== undefined && places.some((place) => place.key === stop) ? stop : places[0]?.key;
  const toggle = (key: string): void => {
    const box = layout.boxes.find((one) => one.key === key);
    if (box) anchor.current = { key, x: box.x * view.k + view.x, y: box.y * view.k + view.y };
    moved.current = true;
    onToggle(key);
  };
  const focus = (key: string): void => {
    setStop(key);
    const box = layout.boxes.find((one) => one.key === key);
    if (box) change((before) => showing(before, box, size));
    requestAnimationFrame(() => svg.current?.querySelector<SVGGElement>(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true }));
  };
  const keyDown = (event: KeyboardEvent, key: string): void => {
    const arrow = ARROWS[event.key];
    if (event.altKey || event.metaKey || event.ctrlKey) return;
    if (arrow !== undefined && event.shiftKey) change((before) => ({ ...before, x: before.x - arrow[0] * 60, y: before.y - arrow[1] * 60 }));
    else if (arrow !== undefined) focus(next(places, key, arrow) ?? key);
    else if (event.key === "Home") focus(places[0]?.key ?? key);
    else if (event.key === "End") focus(places.at(-1)?.key ?? key);
    else if (event.key === "Enter") onOpen(key);
    else if (event.key === " ") onChoose(key);
    else if (event.key === "+" || event.key === "=") found.zoom(STEP);
    else if (event.key === "-") found.zoom(1 / STEP);
    else if (event.key === "0") found.fit();
    else if (event.key.toLowerCase() === "e") toggle(key);
    else return;
    event.preventDefault();
  };
  const choose = (key: string): void => {
    if (drag.moved()) return;
    setStop(key);
    onChoose(key);
  };
  return (
    <div ref={frame} className="topology-frame">
      <svg ref={svg} width={size.w} height={size.h} role="group" aria-label="Topology" aria-roledescription="diagram" {...drag.handlers}>
        <g transform={`translate(${view.x} ${view.y}) scale(${view.k})`} data-drawing>
          <Drawing graph={graph} layout={layout} palette={palette} marks={{ ...marks, stop: first }} near={view.k >= NEAR} hands={{ choose, open: onOpen, toggle, keyDown }} />
        </g>
      </svg>
    </div>
  );
}

/** Dragging with any pointer; a click that hardly moved is none. */
function useDrag(move: (dx: number, dy: number) => void): { moved: () => boolean; handlers: object } {
  const held = useRef<{ x: number; y: number; far: number }>(undefined);
  const far = useRef(0);
  return {
    moved: () => far.current > CLICK,
    handlers: {
      onPointerDown: (event: PointerEvent) => {
        far.current = 0;
        if (event.button === 0) held.current = { x: event.clientX, y: event.clientY, far: 0 };
      },
      onPointerMove: (event: PointerEvent<SVGSVGElement>) => {
        const before = held.current;
        if (before === undefined) return;
        const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
        far.current += Math.abs(dx) + Math.abs(dy);
        if (far.current <= CLICK) return;
        if (!event.currentTarget.hasPointerCapture(event.pointerId)) event.currentTarget.setPointerCapture(event.pointerId);
        held.current = { x: event.clientX, y: event.clientY, far: far.current };
        move(dx, dy);
      },
      onPointerUp: () => {
        held.current = undefined;
      },
      onPointerCancel: () => {
        held.current = undefined;
      },
    },
  };
}

interface Spot {
  readonly key: string;
  readonly x: number;
  readonly y: number;
}

/** What Tab and arrows reach, in the order of the drawing. */
function placesOf(layout: Layout): Spot[] {
  return [
    ...layout.boxes.map((box) => ({ key: box.key, x: box.x + Math.min(box.w / 2, 75), y: box.y + Math.min(box.h / 2, 24) })),
    ...layout.wires.map((wire) => ({ key: wire.key, ...wire.mark })),
  ];
}

const ARROWS: Record<string, readonly [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The nearest place in a direction; what lies aside counts as twice as far. */
function next(places: readonly Spot[], key: string, [dx, dy]: readonly [number, number]): string | undefined {
  const from = places.find((place) => place.key === key);
  if (from === undefined) return undefined;
  let best: { key: string; far: number } | undefined;
  for (const place of places) {
    const ahead = (place.x - from.x) * dx + (place.y - from.y) * dy;
    const aside = Math.abs((place.x - from.x) * dy) + Math.abs((place.y - from.y) * dx);
    const far = ahead + 2 * aside;
    if (ahead > 1 && (best === undefined || far < best.far)) best = { key: place.key, far };
  }
  return best?.key;
}
