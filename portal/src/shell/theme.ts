// Light and dark, by the user's choice or the system's. The choice is the one thing the browser keeps.

import { webDarkTheme, webLightTheme, type Theme } from "@fluentui/react-components";
import { useSyncExternalStore } from "react";

const FONT = "'Open Sans Variable', system-ui, sans-serif";
const MONO = "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', monospace";
const KEY = "azlan-theme";

export const light: Theme = { ...webLightTheme, fontFamilyBase: FONT, fontFamilyMonospace: MONO, fontFamilyNumeric: FONT };
export const dark: Theme = { ...webDarkTheme, fontFamilyBase: FONT, fontFamilyMonospace: MONO, fontFamilyNumeric: FONT };

const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function isDark(): boolean {
  const chosen = localStorage.getItem(KEY);
  return chosen === null ? system.matches : chosen === "dark";
}

export function chooseTheme(choice: "dark" | "light"): void {
  localStorage.setItem(KEY, choice);
  for (const listener of [...listeners]) listener();
}

export function useDark(): boolean {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    system.addEventListener("change", listener);
    return () => {
      listeners.delete(listener);
      system.removeEventListener("change", listener);
    };
  }, isDark);
}
