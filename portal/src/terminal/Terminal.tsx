// A terminal in the page: xterm, the state of its session above it. Leaving the page ends the session, as closing Azure's does.

import "@xterm/xterm/css/xterm.css";
import "./terminal.css";

import { Button, MessageBar, MessageBarBody, MessageBarTitle, Spinner } from "@fluentui/react-components";
import { CheckmarkCircle16Filled, Circle16Regular } from "@fluentui/react-icons";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Xterm } from "@xterm/xterm";
import { useEffect, useRef, useState, type ReactNode } from "react";

import { Name, visible } from "../shell/text";
import type { Given } from "./handover";
import { withNonce } from "./policy";
import { TerminalSession, type State } from "./session";
import { Why } from "./Why";

const COLOURS = { background: "#0c0c0c", foreground: "#e6e6e6", cursor: "#ffffff", selectionBackground: "#3a5f8a" };

export default function Terminal(props: { given: Given; machine: string; name: string; onAgain: () => void }): ReactNode {
  const { given, machine, name, onAgain } = props;
  const place = useRef<HTMLDivElement>(null);
  const session = useRef<TerminalSession>(undefined);
  const focus = useRef<() => void>(undefined);
  const [state, setState] = useState<State>({ at: "connecting" });
  const [was, setWas] = useState(false);

  useEffect(() => {
    const view = show(place.current!, `Terminal of ${visible(name)}`);
    const told = (next: State): void => {
      setState(next);
      if (next.at === "open") setWas(true);
    };
    const begun = new TerminalSession(given.bastion, given.ticket, told, (data, taken) => view.write(data, taken));
    session.current = begun;
    focus.current = view.focus;
    const input = view.onData((text) => begun.write(text));
    const size = view.onResize(({ cols, rows }) => begun.resize(cols, rows));
    begun.resize(view.cols, view.rows);
    const close = (): void => begun.close();
    addEventListener("pagehide", close);
    return () => {
      removeEventListener("pagehide", close);
      begun.close();
      input.dispose();
      size.dispose();
      view.dispose();
    };
  }, [given, name]);

  // Once it is to be seen: what is hidden takes no focus.
  useEffect(() => {
    if (state.at === "open") focus.current?.();
  }, [state.at]);

  const over = state.at === "ended" || state.at === "failed";
  return (
    <section className="terminal" aria-label={`Bastion session to ${visible(name)}`}>
      <div className="terminal-bar">
        <p role="status">
          <StateWords state={state} name={name} username={given.username} />
        </p>
        {over ? (
          <Button size="small" appearance="primary" onClick={onAgain}>
            Connect again
          </Button>
        ) : (
          <Button size="small" onClick={() => session.current?.close()}>
            Close
          </Button>
        )}
      </div>
      {state.at === "reconnecting" && (
        <MessageBar intent="warning">
          <MessageBarBody>
            <MessageBarTitle>Reconnecting.</MessageBarTitle>
            The session goes on where it was as soon as the cloud answers. What you type meanwhile is sent then.
          </MessageBarBody>
        </MessageBar>
      )}
      {state.at === "failed" && <Why code={state.code} message={state.message} machine={machine} name={name} />}
      <div className={state.at === "connecting" || (over && !was) ? "terminal-place terminal-empty" : "terminal-place"} ref={place} />
    </section>
  );
}

/** Put an xterm into the page, as large as its place. */
function show(place: HTMLElement, label: string): { write: Xterm["write"]; focus: () => void; dispose: () => void; onData: Xterm["onData"]; onResize: Xterm["onResize"]; cols: number; rows: number } {
  const term = new Xterm({
    screenReaderMode: true,
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', monospace",
    fontSize: 14,
    // With less a row cuts the underscores of some fonts.
    lineHeight: 1.2,
    scrollback: 5000,
    theme: COLOURS,
    // A guest's links lead where the guest says: shown, and not followed.
    linkHandler: { activate: () => undefined },
  });
  const fit = new FitAddon();
  term.loadAddon(fit);
  term.attachCustomKeyEventHandler((event) => keyIsTyped(event, term));
  withNonce(() => term.open(place));
  term.textarea?.setAttribute("aria-label", label);
  fit.fit();
  const watch = new ResizeObserver(() => fit.fit());
  watch.observe(place);
  const dispose = (): void => {
    watch.disconnect();
    term.dispose();
  };
  return { write: term.write.bind(term), focus: () => term.focus(), dispose, onData: term.onData, onResize: term.onResize, cols: term.cols, rows: term.rows };
}

/** Paste and copy are the browser's; Ctrl+C copies where something is selected, and interrupts where nothing is. */
function keyIsTyped(event: KeyboardEvent, term: Xterm): boolean {
  if (event.type !== "keydown") return true;
  const key = event.key.toLowerCase();
  const paste = ((event.ctrlKey || event.metaKey) && key === "v") || (event.shiftKey && key === "insert");
  if (paste) return false;
  const copies = (event.ctrlKey || event.metaKey) && key === "c" && term.hasSelection();
  if (!copies) return !(event.ctrlKey && event.shiftKey && key === "c");
  void navigator.clipboard.writeText(term.getSelection());
  term.clearSelection();
  event.preventDefault();
  return false;
}

function StateWords({ state, name, username }: { state: State; name: string; username: string }): ReactNode {
  switch (state.at) {
    case "connecting":
      return <Spinner size="tiny" label={`Connecting to ${visible(name)}`} />;
    case "open":
      return (
        <>
          <CheckmarkCircle16Filled aria-hidden className="terminal-on" /> Connected to <Name>{name}</Name> as <Name>{username}</Name>
        </>
      );
    case "reconnecting":
      return <Spinner size="tiny" label={`Reconnecting to ${visible(name)}`} />;
    case "ended":
      return (
        <>
          <Circle16Regular aria-hidden /> The session has ended{state.status === null ? "" : ` with status ${state.status}`}
          {state.reason !== "" && (
            <>
              : <Name>{state.reason}</Name>
            </>
          )}
        </>
      );
    case "failed":
      return (
        <>
          <Circle16Regular aria-hidden /> Not connected
        </>
      );
  }
}
