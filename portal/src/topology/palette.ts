// The colours of the drawing, as values and not as CSS variables: an exported picture has no style sheet. Text on its ground
// keeps a contrast of 4.5 in both themes.

export interface Palette {
  readonly ground: string;
  readonly text: string;
  readonly muted: string;
  readonly network: string;
  readonly networkFill: string;
  readonly subnetFill: string;
  readonly subnetLine: string;
  readonly tileFill: string;
  readonly tileLine: string;
  readonly machine: string;
  readonly appliance: string;
  readonly bastion: string;
  readonly badge: string;
  readonly badgeText: string;
  readonly good: string;
  readonly warn: string;
  readonly bad: string;
  readonly focus: string;
}

const light: Palette = {
  ground: "#ffffff",
  text: "#242424",
  muted: "#5a5f66",
  network: "#00757a",
  networkFill: "#f1f8f8",
  subnetFill: "#ffffff",
  subnetLine: "#b9cfd1",
  tileFill: "#fafafa",
  tileLine: "#cfd4da",
  machine: "#0067b8",
  appliance: "#2d7d32",
  bastion: "#7a3db8",
  badge: "#e3ecf7",
  badgeText: "#0b4a82",
  good: "#107c10",
  warn: "#9a5b00",
  bad: "#c42b1c",
  focus: "#0067b8",
};

const dark: Palette = {
  ground: "#292929",
  text: "#ffffff",
  muted: "#c3c8ce",
  network: "#4dd0c8",
  networkFill: "#223334",
  subnetFill: "#292929",
  subnetLine: "#4d6668",
  tileFill: "#333333",
  tileLine: "#5c6168",
  machine: "#6cb8f6",
  appliance: "#7ccf80",
  bastion: "#c6a0f0",
  badge: "#23405c",
  badgeText: "#bfe0ff",
  good: "#7ccf80",
  warn: "#f2c661",
  bad: "#ff8f85",
  focus: "#6cb8f6",
};

export const paletteOf = (isDark: boolean): Palette => (isDark ? dark : light);

export const FONT = "'Open Sans Variable', 'Open Sans', 'Segoe UI', system-ui, sans-serif";
