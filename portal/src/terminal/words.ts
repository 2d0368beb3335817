// Why a terminal did not come about, said to the person before it.

export interface Words {
  readonly title: string;
  readonly advice: string;
}

const WORDS: Record<string, Words> = {
  AuthenticationFailed: { title: "The virtual machine did not accept these credentials", advice: "Check the username, and the password or the private key." },
  InvalidPrivateKey: { title: "The private key cannot be read", advice: "Use a key in OpenSSH or PEM format, and the passphrase it was made with." },
  Unreachable: {
    title: "The virtual machine could not be reached",
    advice: "Check that it is running, and that the network security groups of its network interface and subnet allow the Bastion subnet in on this port.",
  },
  ConnectionRefused: { title: "Nothing listens on this port of the virtual machine", advice: "Check the port, and that the machine has finished starting its SSH server." },
  ProtocolError: { title: "No SSH session came about", advice: "What answers there offers no host key or no terminal that Bastion can use." },
  SessionNotFound: { title: "The session has ended", advice: "It was closed, or nobody came back to it within 60 seconds." },
  TooManySessions: { title: "The Bastion host has no session left", advice: "Close other sessions, and connect again." },
  BastionHostUnavailable: { title: "The Bastion host does not run", advice: "Check its provisioning state, and connect again once it has succeeded." },
  BastionHostNotReady: { title: "The Bastion host is not ready yet", advice: "Wait until its provisioning has succeeded, and connect again." },
  AuthorizationFailed: { title: "You may not use this connection", advice: "Bastion needs the right to read the Bastion host, the virtual machine and its network interface." },
  SignInRequired: { title: "Your sign-in has ended, and the session with it", advice: "Sign in, and connect again." },
  PopupBlocked: { title: "No new tab was opened", advice: "" },
  ConnectionLost: { title: "The connection was lost", advice: "Connect again." },
};

/** Words for a code of the Bastion host's or of the API's. */
export function wordsFor(code: string): Words {
  return WORDS[code] ?? { title: `The session could not be opened (${code})`, advice: "" };
}
