// What is being done and how it ended, as the bell shows it.

import { useSyncExternalStore } from "react";

import { ArmError } from "../arm/client";

export interface Notification {
  readonly number: number;
  readonly state: "running" | "succeeded" | "failed";
  readonly title: string;
  readonly text: string;
  readonly code?: string;
  /** Address of what it is about. */
  readonly to?: string;
  readonly since: number;
}

const MOST = 100;
let all: readonly Notification[] = [];
let next = 1;
const listeners = new Set<() => void>();

function set(changed: readonly Notification[]): void {
  all = changed.slice(0, MOST);
  for (const listener of [...listeners]) listener();
}

export interface Words {
  /** "Creating virtual network" */
  title: string;
  /** "Created virtual network" */
  done: string;
  /** "Failed to create virtual network" */
  failed: string;
  /** "vnet-1 in test-rg" */
  about: string;
  to?: string;
}

/** Run a write with its notification; resolves as the write does. */
export async function notified<T>(words: Words, work: () => Promise<T>): Promise<T> {
  const number = next++;
  const about = words.to === undefined ? {} : { to: words.to };
  set([{ number, state: "running", title: words.title, text: words.about, since: Date.now(), ...about }, ...all]);
  const end = (change: Partial<Notification>): void =>
    set(all.map((one) => (one.number === number ? { ...one, since: Date.now(), ...change } : one)));
  try {
    const result = await work();
    end({ state: "succeeded", title: words.done });
    return result;
  } catch (error) {
    end({
      state: "failed",
      title: words.failed,
      text: error instanceof Error ? error.message : String(error),
      ...(error instanceof ArmError ? { code: error.code } : {}),
    });
    throw error;
  }
}

export function dismiss(number?: number): void {
  set(all.filter((one) => one.state === "running" || (number !== undefined && one.number !== number)));
}

export function useNotifications(): readonly Notification[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => all,
  );
}
