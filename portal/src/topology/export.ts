// The drawing as a file: the same SVG that is on the screen, all of it, without what serves the page alone; PNG from that.

import type { Layout } from "./layout";

const EDGE = 24;
const LARGEST = 8000;
const SVG = "http://www.w3.org/2000/svg";
/** What a viewer has no use for. */
const OURS = ["tabindex", "data-key", "data-drawing", "aria-hidden", "class"];

interface Picture {
  readonly text: string;
  readonly w: number;
  readonly h: number;
}

export function pictureOf(svg: SVGSVGElement, layout: Layout, ground: string, title: string): Picture {
  const drawing = svg.querySelector<SVGGElement>("[data-drawing]")!;
  const bounds = drawing.getBBox();
  const left = Math.min(0, bounds.x);
  const top = Math.min(0, bounds.y);
  const w = Math.ceil(Math.max(layout.w, bounds.x + bounds.width) - left + 2 * EDGE);
  const h = Math.ceil(Math.max(layout.h, bounds.y + bounds.height) - top + 2 * EDGE);
  const root = document.createElementNS(SVG, "svg");
  root.setAttribute("viewBox", `${left - EDGE} ${top - EDGE} ${w} ${h}`);
  root.setAttribute("width", String(w));
  root.setAttribute("height", String(h));
  root.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: title }));
  const under = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ x: left - EDGE, y: top - EDGE, width: w, height: h, fill: ground })) under.setAttribute(name, String(value));
  root.append(under);
  const copy = drawing.cloneNode(true) as SVGGElement;
  copy.removeAttribute("transform");
  for (const part of copy.querySelectorAll("[data-ui]")) part.remove();
  for (const part of [copy, ...copy.querySelectorAll("*")]) for (const name of OURS) part.removeAttribute(name);
  root.append(copy);
  return { text: new XMLSerializer().serializeToString(root), w, h };
}

export function saveSvg(picture: Picture, name: string): void {
  save(new Blob([picture.text], { type: "image/svg+xml" }), `${name}.svg`);
}

/** Twice as fine as on the screen, as far as a canvas goes. */
export async function savePng(picture: Picture, name: string): Promise<void> {
  const url = URL.createObjectURL(new Blob([picture.text], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const scale = Math.min(2, LARGEST / Math.max(picture.w, picture.h));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(picture.w * scale);
    canvas.height = Math.round(picture.h * scale);
    canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
    if (blob === null) throw new Error("The picture is too large for this browser.");
    save(blob, `${name}.png`);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
