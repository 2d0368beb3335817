// State of a form: its values, what is wrong with each, which of that is shown yet; and the guard that keeps it from being lost.

import { useEffect, useMemo, useRef, useState } from "react";

import { guard } from "../shell/router";

export type Errors<T> = { readonly [K in keyof T]?: string | undefined };

export interface Form<T extends object> {
  readonly values: T;
  /** What is wrong, shown or not. */
  readonly errors: Errors<T>;
  readonly valid: boolean;
  set<K extends keyof T>(name: K, value: T[K]): void;
  change(values: Partial<T>): void;
  /** The error of a field, once it is to be shown. */
  error(name: keyof T): string | undefined;
  /** The field was left. */
  touch(name: keyof T): void;
  /** Show everything that is wrong; whether nothing is. */
  check(names?: readonly (keyof T)[]): boolean;
  /** What was entered has been sent: it may be left. */
  release(): void;
}

export function useForm<T extends object>(initial: T | (() => T), validate: (values: T) => Errors<T>): Form<T> {
  const [values, setValues] = useState<T>(initial);
  const [shown, setShown] = useState<ReadonlySet<keyof T>>(new Set());
  const [dirty, setDirty] = useState(false);
  const release = useRef<() => void>(() => undefined);
  useEffect(() => {
    if (!dirty) return;
    release.current = guard();
    return () => release.current();
  }, [dirty]);
  const errors = validate(values);
  return useMemo(() => {
    const wrong = (name: keyof T): boolean => errors[name] !== undefined && errors[name] !== "";
    const names = Object.keys(values) as (keyof T)[];
    return {
      values,
      errors,
      valid: !names.some(wrong),
      set: (name, value) => {
        setDirty(true);
        setValues((before) => ({ ...before, [name]: value }));
      },
      change: (changed) => {
        setDirty(true);
        setValues((before) => ({ ...before, ...changed }));
      },
      error: (name) => (shown.has(name) ? errors[name] || undefined : undefined),
      touch: (name) => setShown((before) => (before.has(name) ? before : new Set([...before, name]))),
      check: (some = names) => {
        setShown((before) => new Set([...before, ...some]));
        return !some.some(wrong);
      },
      release: () => release.current(),
    };
  }, [values, shown, JSON.stringify(errors)]);
}
