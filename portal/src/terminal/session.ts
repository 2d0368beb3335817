// A Bastion session as the page has it: a one-use ticket, then a websocket, in the words of `services/bastion.py`. When the
// connection breaks (a network that is away, a control process that begins anew) the same session is taken up again: what was
// received is told, what did not arrive is sent again, so nothing is lost and nothing comes twice.

import { ArmError } from "../arm/client";
import { connection, lost, onConnection, pause, signedOut } from "../arm/connection";

/** What a ticket is asked for with. Credentials are in here on their way out, and nowhere else. */
export interface Login {
  readonly bastion: string;
  readonly target: string;
  readonly port: number;
  readonly username: string;
  readonly password?: string;
  readonly private_key?: string;
  readonly passphrase?: string;
}

export type State =
  | { readonly at: "connecting" | "open" | "reconnecting" }
  | { readonly at: "ended"; readonly status: number | null; readonly reason: string }
  | { readonly at: "failed"; readonly code: string; readonly message: string };

interface Told {
  opened?: string;
  attached?: number;
  exit?: { status: number | null; reason: string | null };
  error?: { code: string; message: string };
}

/** Seconds that a session waits for its client; a little more, since the Bastion host may notice later. */
const PATIENCE = 70_000;
const AGAIN = 500;
const ACKNOWLEDGED = 16 * 1024;
const KEPT_INPUT = 1 << 20;

/** A ticket for a new session, or for one that goes on. Raises ArmError; TypeError where nobody answers. */
export async function askTicket(asked: Login | { bastion: string; session: string; received: number }): Promise<string> {
  const headers = { "X-Azlan-Portal": "1", "Content-Type": "application/json" };
  const answer = await fetch("/portal/bastion/tickets", { method: "POST", headers, body: JSON.stringify(asked), cache: "no-store" });
  const document = (await answer.json()) as { ticket?: string; error?: { code: string; message: string } };
  if (answer.status === 401) signedOut();
  if (document.ticket === undefined) throw new ArmError(answer.status, document.error?.code ?? String(answer.status), document.error?.message ?? answer.statusText);
  return document.ticket;
}

export class TerminalSession {
  state: State = { at: "connecting" };
  #socket: WebSocket | undefined;
  #session = "";
  #received = 0;
  #parsed = 0;
  #acknowledged = 0;
  #input: Uint8Array = new Uint8Array();
  /** How many bytes of input came before those that are kept. */
  #dropped = 0;
  #size: [number, number] | undefined;
  #stop: () => void;

  constructor(
    readonly bastion: string,
    ticket: string,
    private readonly onState: (state: State) => void,
    private readonly onOutput: (data: Uint8Array, taken: () => void) => void,
  ) {
    // A dead connection may look alive for minutes; the page's heartbeat knows better.
    this.#stop = onConnection(() => !connection().online && this.state.at === "open" && this.#leave());
    this.#open(ticket);
  }

  /** Type something. */
  write(text: string): void {
    if (this.#over()) return;
    const data = new TextEncoder().encode(text);
    const kept = new Uint8Array(this.#input.length + data.length);
    kept.set(this.#input);
    kept.set(data, this.#input.length);
    const over = Math.max(0, kept.length - KEPT_INPUT);
    this.#dropped += over;
    this.#input = kept.subarray(over);
    if (this.state.at === "open") this.#socket?.send(data);
  }

  resize(columns: number, rows: number): void {
    this.#size = [Math.min(Math.max(columns, 1), 999), Math.min(Math.max(rows, 1), 999)];
    this.#tell({ resize: this.#size });
  }

  /** End the session, at the Bastion host as well. */
  close(): void {
    if (this.#over()) return;
    this.#tell({ close: true });
    this.#set({ at: "ended", status: null, reason: "" });
    this.#socket?.close();
  }

  #over(): boolean {
    return this.state.at === "ended" || this.state.at === "failed";
  }

  #set(state: State): void {
    this.state = state;
    if (this.#over()) this.#stop();
    this.onState(state);
  }

  #open(ticket: string): void {
    const socket = new WebSocket(`/portal/bastion/sessions/${encodeURIComponent(ticket)}`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    const mine = (): boolean => this.#socket === socket && !this.#over();
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (!mine()) return;
      if (typeof data === "string") this.#told(JSON.parse(data) as Told);
      else this.#output(new Uint8Array(data));
    };
    socket.onclose = () => {
      if (mine()) this.#broken();
    };
  }

  #told(message: Told): void {
    if (message.opened !== undefined) {
      this.#session = message.opened;
      this.#ready(0);
    } else if (message.attached !== undefined) {
      this.#ready(message.attached);
    } else if (message.exit !== undefined) {
      this.#set({ at: "ended", status: message.exit.status, reason: message.exit.reason ?? "" });
    } else if (message.error !== undefined) {
      // The host's own process may be starting as well: that is no last word for a session that was had.
      if (message.error.code === "BastionHostUnavailable" && this.#session !== "") return;
      this.#set({ at: "failed", ...message.error });
    }
  }

  /** The session is there, and has had that much of the input. */
  #ready(had: number): void {
    this.#set({ at: "open" });
    if (this.#size !== undefined) this.#tell({ resize: this.#size });
    const rest = this.#input.subarray(Math.max(0, had - this.#dropped));
    if (rest.length > 0) this.#socket?.send(rest as Uint8Array<ArrayBuffer>);
  }

  #output(data: Uint8Array): void {
    this.#received += data.length;
    this.onOutput(data, () => {
      // Acknowledged once it is shown: a guest that floods is held up by the Bastion host, not by this page's memory.
      this.#parsed += data.length;
      if (this.#parsed - this.#acknowledged < ACKNOWLEDGED) return;
      this.#acknowledged = this.#parsed;
      this.#tell({ ack: this.#parsed });
    });
  }

  #tell(message: { ack: number } | { resize: [number, number] } | { close: true }): void {
    if (this.#session !== "" && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #leave(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#broken();
  }

  #broken(): void {
    if (this.#session === "") {
      this.#set({ at: "failed", code: "ConnectionLost", message: "The connection broke before the session was open. Connect again." });
      return;
    }
    // Where a taking up broke in its turn, its loop goes on.
    if (this.state.at === "reconnecting") return;
    this.#set({ at: "reconnecting" });
    void this.#takeUp();
  }

  async #takeUp(): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    while (this.state.at === "reconnecting") {
      if (Date.now() > deadline) {
        this.#set({ at: "failed", code: "ConnectionLost", message: "The connection was away for more than a minute, so the session has ended." });
        return;
      }
      try {
        // Told so with the ticket. What is acknowledged later must not be less.
        this.#acknowledged = this.#received;
        const ticket = await askTicket({ bastion: this.bastion, session: this.#session, received: this.#received });
        if (this.state.at !== "reconnecting") return;
        this.#open(ticket);
        await this.#settled();
      } catch (error) {
        if (error instanceof ArmError && error.status < 500 && error.code !== "BastionHostNotReady") {
          this.#set({ at: "failed", code: error.code, message: error.message });
          return;
        }
        if (!(error instanceof ArmError)) lost();
      }
      if (this.state.at === "reconnecting") await pause(AGAIN);
    }
  }

  /** Resolves when the present websocket has opened the session or is gone. */
  #settled(): Promise<void> {
    const socket = this.#socket!;
    return new Promise((resolve) => {
      socket.addEventListener("close", () => resolve(), { once: true });
      socket.addEventListener("message", () => resolve(), { once: true });
    });
  }
}
