// Connect by Azure Bastion: which host leads to the machine, the credentials, then a terminal in a new tab or in this page.

import { Button, Field, Link as TextLink, MessageBar, MessageBarActions, MessageBarBody } from "@fluentui/react-components";
import { lazy, Suspense, useState, type FormEvent, type ReactNode } from "react";

import { action } from "../arm/client";
import { useCan } from "../arm/hooks";
import { nameOf } from "../arm/ids";
import { required } from "../forms/checks";
import { CheckboxField, DropdownField, Fixed, Section, TextAreaField, TextField } from "../forms/fields";
import type { ResourceProps } from "../pages/registry";
import { Failure, Loading } from "../shell/Blade";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { Link, Name } from "../shell/text";
import { Deploy } from "./Deploy";
import { answer, openInTab, type Given } from "./handover";
import { usePower, useWay, type BastionHost } from "./machine";
import type { Login } from "./session";
import { Why } from "./Why";

const Terminal = lazy(() => import("./Terminal"));

export default function Bastion({ id, resource }: ResourceProps): ReactNode {
  const way = useWay(resource);
  const [given, setGiven] = useState<Given>();
  if (given !== undefined) {
    return (
      <Suspense fallback={<Loading />}>
        <Terminal given={given} machine={id.text} name={resource.name} onAgain={() => setGiven(undefined)} />
      </Suspense>
    );
  }
  return (
    <>
      <p className="lead connect-lead">
        Azure Bastion connects to the virtual machine by SSH in your browser, by its private IP address. The virtual machine needs no public IP address, client or special configuration.
      </p>
      {way.error !== undefined && <Failure error={way.error} />}
      {way.loading && <Loading />}
      {!way.loading && way.error === undefined && way.host === undefined && way.network !== undefined && <Deploy network={way.network} machine={resource.name} />}
      {way.host !== undefined && <Connect machine={id.text} name={resource.name} host={way.host} onGiven={setGiven} />}
    </>
  );
}

type Kind = "password" | "key" | "file";

const KINDS = [
  { value: "password", text: "Password" },
  { value: "key", text: "SSH Private Key" },
  { value: "file", text: "SSH Private Key from Local File" },
];

function Connect(props: { machine: string; name: string; host: BastionHost; onGiven: (given: Given) => void }): ReactNode {
  const { machine, name, host, onGiven } = props;
  const [kind, setKind] = useState<Kind>("password");
  const [username, setUsername] = useState("");
  const [secret, setSecret] = useState("");
  const [passphrase, setPassphrase] = useState("");
  const [port, setPort] = useState("22");
  const [newTab, setNewTab] = useState(true);
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<{ code: string; message: string }>();
  const [notice, setNotice] = useState("");

  const anyPort = ["Standard", "Premium"].includes(host.sku?.name ?? "");
  const portWrong = /^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65536 ? undefined : "The value must be between 1 and 65535.";
  const ready = host.properties.provisioningState === "Succeeded";
  const shown = (error: string | undefined): string | undefined => (tried ? error : undefined);

  /** What was entered, which is entered no more. */
  const take = (): Login => {
    const login = { bastion: host.id, target: machine, port: Number(port), username };
    const key = { private_key: secret, ...(passphrase === "" ? {} : { passphrase }) };
    setSecret("");
    setPassphrase("");
    setTried(false);
    return kind === "password" ? { ...login, password: secret } : { ...login, ...key };
  };
  const connect = (event: FormEvent): void => {
    event.preventDefault();
    setTried(true);
    setFailure(undefined);
    setNotice("");
    if (required(username) || secret === "" || portWrong) return;
    const login = take();
    if (newTab) {
      if (openInTab(login)) setNotice("The session opens in a new browser tab.");
      else setFailure({ code: "PopupBlocked", message: "The browser refused to open a new tab. Allow pop-ups for this page, or clear 'Open in new browser tab'." });
      return;
    }
    setBusy(true);
    void answer(login).then((found) => {
      setBusy(false);
      if ("given" in found) onGiven(found.given);
      else setFailure(found);
    });
  };
  return (
    <form className="bastion-form" onSubmit={connect} noValidate autoComplete="off">
      {failure !== undefined && <Why code={failure.code} message={failure.message} machine={machine} name={name} />}
      {notice !== "" && (
        <MessageBar intent="info" role="status">
          <MessageBarBody>{notice}</MessageBarBody>
        </MessageBar>
      )}
      <NotRunning machine={machine} name={name} />
      <Fixed label="Using Bastion">
        <Link to={resourcePath(host.id)}>
          <Name>{nameOf(host.id)}</Name>
        </Link>
        , Provisioning State: {host.properties.provisioningState ?? "-"}
      </Fixed>
      {anyPort && (
        <Section title="Connection Settings">
          <Fixed label="Protocol">SSH</Fixed>
          <TextField label="Port" required value={port} onChange={setPort} error={portWrong} />
        </Section>
      )}
      <Section title="Credentials">
        <DropdownField
          label="Authentication Type"
          required
          value={kind}
          choices={KINDS}
          onChange={(chosen) => {
            setKind(chosen as Kind);
            setSecret("");
            setPassphrase("");
          }}
        />
        <TextField label="Username" required value={username} onChange={setUsername} error={shown(required(username))} />
        {kind === "password" && <TextField label="Password" required type="password" autoComplete="new-password" value={secret} onChange={setSecret} error={shown(required(secret))} />}
        {kind === "key" && <TextAreaField label="SSH Private Key" required rows={6} value={secret} onChange={setSecret} error={shown(required(secret))} placeholder="-----BEGIN OPENSSH PRIVATE KEY-----" />}
        {kind === "file" && <KeyFile onRead={setSecret} error={shown(secret === "" ? "Select the file of a private key." : undefined)} />}
        {kind !== "password" && <TextField label="SSH Passphrase" type="password" autoComplete="new-password" value={passphrase} onChange={setPassphrase} hint="Where the key is protected by one." />}
      </Section>
      <CheckboxField label="Open in new browser tab" checked={newTab} onChange={setNewTab} />
      <div className="buttons">
        <Button appearance="primary" type="submit" disabled={busy || !ready}>
          Connect
        </Button>
      </div>
    </form>
  );
}

const KEY_MOST = 32 * 1024;

/** A private key's file, read in the browser. */
function KeyFile({ onRead, error }: { onRead: (text: string) => void; error: string | undefined }): ReactNode {
  const [wrong, setWrong] = useState("");
  const read = (file: File | undefined): void => {
    setWrong(file !== undefined && file.size > KEY_MOST ? "This file is too large to be a private key." : "");
    if (file === undefined || file.size > KEY_MOST) onRead("");
    else void file.text().then(onRead);
  };
  const said = wrong || error;
  return (
    <Field className="field" orientation="horizontal" required label="Local File" {...(said ? { validationMessage: said, validationState: "error" as const } : {})}>
      {(named) => <input type="file" {...named} onChange={(event) => read(event.target.files?.[0])} />}
    </Field>
  );
}

/** A machine that does not run takes no session: said before one is tried, with what starts it. */
function NotRunning({ machine, name }: { machine: string; name: string }): ReactNode {
  const state = usePower(machine);
  const can = useCan(machine);
  if (state === undefined || state.running) return null;
  const words = { title: "Starting virtual machine", done: "Started virtual machine", failed: "Failed to start virtual machine", about: name, to: resourcePath(machine) };
  return (
    <MessageBar intent="warning">
      <MessageBarBody>
        <Name>{name}</Name> is not running (<Name>{state.words}</Name>): it takes no sessions.
      </MessageBarBody>
      {can("Microsoft.Compute/virtualMachines/start/action") && (
        <MessageBarActions>
          <TextLink as="button" type="button" onClick={() => void notified(words, () => action(machine, "start")).catch(() => undefined)}>
            Start
          </TextLink>
        </MessageBarActions>
      )}
    </MessageBar>
  );
}
