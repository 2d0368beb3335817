// Whether the portal's backend answers, and whether somebody is signed in: seen by every request, shown by the shell.

type Listener = () => void;

export interface Connection {
  readonly online: boolean;
  readonly signedIn: boolean;
}

let state: Connection = { online: true, signedIn: true };
const listeners = new Set<Listener>();
let probing = false;

export function connection(): Connection {
  return state;
}

export function onConnection(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function set(change: Partial<Connection>): void {
  state = { ...state, ...change };
  for (const listener of [...listeners]) listener();
}

/** A request found nobody: ask again until somebody answers. */
export function lost(): void {
  if (state.online) set({ online: false });
  if (!probing) void probe();
}

/** A request was answered 401. */
export function signedOut(): void {
  if (state.signedIn) set({ signedIn: false });
  if (!probing) void probe();
}

const BEAT = 3000;

/** Ask now and then while the page is seen: a page that rests learns of a loss, too. */
export function startHeartbeat(): void {
  setInterval(() => {
    if (document.hidden || !state.online || !state.signedIn) return;
    fetch("/portal/session", { headers: { "X-Azlan-Portal": "1" } }).then((answer) => answer.status === 401 && signedOut(), lost);
  }, BEAT);
}

async function probe(): Promise<void> {
  probing = true;
  while (!state.online || !state.signedIn) {
    await pause(1000);
    try {
      const answer = await fetch("/portal/session", { headers: { "X-Azlan-Portal": "1" } });
      const change: { online?: boolean; signedIn?: boolean } = {};
      if (answer.status < 500) change.online = true;
      if (answer.status === 200) change.signedIn = true;
      if (answer.status === 401) change.signedIn = false;
      if (change.online !== state.online || change.signedIn !== state.signedIn) set(change);
    } catch {
      if (state.online) set({ online: false });
    }
  }
  probing = false;
}

/** Resolves once the backend answers and somebody is signed in. */
export function connected(signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (signal?.aborted) {
        stop();
        reject(signal.reason as Error);
      } else if (state.online && state.signedIn) {
        stop();
        resolve();
      }
    };
    const stop = onConnection(look);
    signal?.addEventListener("abort", look, { once: true });
    look();
  });
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
