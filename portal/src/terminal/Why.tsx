// What stands in the way of a terminal, in words; for a machine that does not answer, whether it runs at all.

import { Button, MessageBar, MessageBarActions, MessageBarBody, MessageBarTitle } from "@fluentui/react-components";
import { useEffect, useState, type ReactNode } from "react";

import { Name, visible } from "../shell/text";
import { power } from "./machine";
import { wordsFor } from "./words";

export function Why({ code, message, machine, name, onAgain }: { code: string; message: string; machine: string; name: string; onAgain?: () => void }): ReactNode {
  const [state, setState] = useState("");
  useEffect(() => {
    if (code !== "Unreachable" && code !== "ConnectionRefused") return;
    power(machine).then(
      (found) => setState(found.running ? "" : found.words),
      () => undefined,
    );
  }, [code, machine]);
  const words = wordsFor(code);
  return (
    <MessageBar intent="error" layout="multiline" role="alert" className="failure">
      <MessageBarBody>
        <MessageBarTitle>{state === "" ? words.title : `${visible(name)} is not running (${visible(state)})`}</MessageBarTitle>
        <Name>{`${message.replace(/\.$/, "")}.`}</Name> {state === "" ? words.advice : "Start it, and connect again."}
      </MessageBarBody>
      {onAgain !== undefined && (
        <MessageBarActions>
          <Button onClick={onAgain}>Connect again</Button>
        </MessageBarActions>
      )}
    </MessageBar>
  );
}
