// From the form to a tab of its own: the new tab asks the one that opened it, which asks for a ticket and hands that over. The
// credentials stay where they were typed, and are let go of there; no address, history or storage sees any of it.

import { ArmError } from "../arm/client";
import { pause } from "../arm/connection";
import { escapePath } from "../arm/ids";
import { askTicket, type Login } from "./session";

export interface Given {
  readonly bastion: string;
  readonly username: string;
  readonly ticket: string;
}

export type Answer = { readonly given: Given } | { readonly code: string; readonly message: string };

const HELLO = "azlan: a terminal asks for its session";
const PATIENCE = 60_000;

/** Open a terminal in a new tab; false where the browser refuses to. To be called by a click. */
export function openInTab(login: Login): boolean {
  const tab = open(`/tools/bastion${escapePath(login.target)}`, "_blank");
  if (tab === null) return false;
  const stop = new AbortController();
  addEventListener(
    "message",
    (event: MessageEvent<unknown>) => {
      const [port] = event.ports;
      if (event.origin !== location.origin || event.source !== tab || event.data !== HELLO || port === undefined) return;
      stop.abort();
      void answer(login).then((found) => port.postMessage(found));
    },
    { signal: stop.signal },
  );
  setTimeout(() => stop.abort(), PATIENCE);
  return true;
}

/** Ask for a ticket, with errors as words. */
export async function answer(login: Login): Promise<Answer> {
  try {
    return { given: { bastion: login.bastion, username: login.username, ticket: await askTicket(login) } };
  } catch (error) {
    if (error instanceof ArmError) return { code: error.code, message: error.message };
    return { code: "ConnectionLost", message: "The cloud does not answer." };
  }
}

let asked: Promise<Answer | undefined> | undefined;

/** What the tab that opened this one hands over, once; undefined where there is none: the page was loaded anew. */
export function received(): Promise<Answer | undefined> {
  asked ??= ask();
  return asked;
}

async function ask(): Promise<Answer | undefined> {
  const opener = window.opener as Window | null;
  if (opener === null || opener.closed) return undefined;
  const { port1, port2 } = new MessageChannel();
  const answered = new Promise<Answer>((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<Answer>) => resolve(data);
  });
  opener.postMessage(HELLO, location.origin, [port2]);
  window.opener = null;
  return await Promise.race([answered, pause(PATIENCE / 2).then(() => undefined)]);
}
