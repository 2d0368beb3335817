// Names and values that other people chose: isolated from the text around them, with control characters made visible.

import { Button, Link as FluentLink, Tooltip } from "@fluentui/react-components";
import { Checkmark16Regular, Copy16Regular } from "@fluentui/react-icons";
import { useState, type MouseEvent, type ReactNode } from "react";

import { navigate } from "./router";

/** Control, formatting (bidi among them) and line characters, private use, lone surrogates. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu;

/** Text with every unseen character replaced by its code point: `⟨U+202E⟩`. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (found) => `⟨U+${found.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** A name somebody else chose. */
export function Name({ children }: { children: string }): ReactNode {
  return <bdi>{visible(children)}</bdi>;
}

/** A link within the portal. */
export function Link({ to, children, className, label }: { to: string; children: ReactNode; className?: string; label?: string }): ReactNode {
  return (
    <FluentLink href={to} onClick={(event: MouseEvent) => follow(event, to)} {...(className ? { className } : {})} {...(label ? { "aria-label": label } : {})}>
      {children}
    </FluentLink>
  );
}

/** Go there without loading the page anew, unless another tab is wanted. */
export function follow(event: MouseEvent, to: string): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  navigate(to);
}

/** Copies `text` to the clipboard. */
export function Copy({ text, what }: { text: string; what: string }): ReactNode {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    void navigator.clipboard.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    });
  };
  const label = copied ? "Copied" : `Copy ${what}`;
  return (
    <Tooltip content={label} relationship="label">
      <Button appearance="subtle" size="small" className="copy" icon={copied ? <Checkmark16Regular /> : <Copy16Regular />} onClick={copy} />
    </Tooltip>
  );
}

/** "3 minutes ago" and the like; `time` as the API has it. */
export function ago(time: string): string {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (seconds < 60) return "just now";
  if (seconds < 3600) return format.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86400) return format.format(-Math.floor(seconds / 3600), "hour");
  return format.format(-Math.floor(seconds / 86400), "day");
}
