// The frame of every page: breadcrumb, title, command bar, content. And what stands in the content while there is none.

import { Breadcrumb, BreadcrumbButton, BreadcrumbDivider, BreadcrumbItem, Button, MessageBar, MessageBarBody, MessageBarTitle, Spinner, Subtitle2, Toolbar, ToolbarButton } from "@fluentui/react-components";
import { Dismiss20Regular } from "@fluentui/react-icons";
import { Component, Fragment, useEffect, type ReactElement, type ReactNode } from "react";

import { ArmError } from "../arm/client";
import { navigate } from "./router";
import { follow, Name, visible } from "./text";

export interface Crumb {
  readonly text: string;
  readonly to: string;
}

export function Blade(props: {
  title: string;
  /** What follows the title: "| Peerings". */
  entry?: string;
  subtitle?: string;
  icon?: ReactNode;
  crumbs?: readonly Crumb[];
  commands?: ReactNode;
  close?: string;
  children: ReactNode;
}): ReactNode {
  const { title, entry, subtitle, icon, crumbs = [], commands, close, children } = props;
  useEffect(() => {
    document.title = `${visible(title)}${entry ? ` | ${entry}` : ""} - Azlan`;
  }, [title, entry]);
  return (
    <section className="blade" aria-label={visible(title)}>
      <Breadcrumb className="crumbs" aria-label="Breadcrumb" size="small">
        {[{ text: "Home", to: "/" }, ...crumbs].map((crumb) => (
          <Fragment key={crumb.to}>
            <BreadcrumbItem>
              <BreadcrumbButton as="a" href={crumb.to} onClick={(event) => follow(event, crumb.to)}>
                <Name>{crumb.text}</Name>
              </BreadcrumbButton>
            </BreadcrumbItem>
            <BreadcrumbDivider />
          </Fragment>
        ))}
      </Breadcrumb>
      <header className="blade-head">
        {icon}
        <div className="blade-title">
          <h1>
            <Name>{title}</Name>
            {entry !== undefined && <span className="blade-entry"> | {entry}</span>}
          </h1>
          {subtitle !== undefined && <p className="subtitle">{subtitle}</p>}
        </div>
        {close !== undefined && <Button appearance="subtle" aria-label="Close" icon={<Dismiss20Regular />} onClick={() => navigate(close)} />}
      </header>
      {commands}
      {children}
    </section>
  );
}

export function CommandBar({ children }: { children: ReactNode }): ReactNode {
  return (
    <Toolbar className="commands" size="small" aria-label="Commands">
      {children}
    </Toolbar>
  );
}

export function CommandButton(props: { icon: ReactElement; onClick: () => void; disabled?: boolean; children: ReactNode }): ReactNode {
  const { icon, onClick, disabled = false, children } = props;
  return (
    <ToolbarButton icon={icon} onClick={onClick} disabled={disabled}>
      {children}
    </ToolbarButton>
  );
}

export function Loading({ what = "Loading" }: { what?: string }): ReactNode {
  return <Spinner className="loading" size="small" label={what} />;
}

/** An error as Azure words it: its code, its message, its details. */
export function Failure({ error, title }: { error: Error; title?: string }): ReactNode {
  const code = error instanceof ArmError ? error.code : undefined;
  const details = error instanceof ArmError ? error.details : [];
  return (
    <MessageBar intent="error" layout="multiline" className="failure" role="alert">
      <MessageBarBody>
        <MessageBarTitle>{title ?? code ?? "Something went wrong"}</MessageBarTitle>
        <Name>{title !== undefined && code !== undefined ? `${code}: ${error.message}` : error.message}</Name>
        {details.length > 0 && (
          <ul>
            {details.map((detail, n) => (
              <li key={n}>
                <Name>{[detail.code, detail.message].filter(Boolean).join(": ")}</Name>
              </li>
            ))}
          </ul>
        )}
      </MessageBarBody>
    </MessageBar>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }): ReactNode {
  return (
    <div className="empty">
      <Subtitle2 as="h2">{title}</Subtitle2>
      {children}
    </div>
  );
}

/** A page that throws takes down itself alone. */
export class Bulkhead extends Component<{ children: ReactNode; about: string }, { error?: Error; about?: string }> {
  override state: { error?: Error; about?: string } = {};

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override componentDidUpdate(before: { about: string }): void {
    if (before.about !== this.props.about && this.state.error !== undefined) this.setState({ error: undefined as never });
  }

  override render(): ReactNode {
    return this.state.error ? <Failure error={this.state.error} title="This page could not be shown" /> : this.props.children;
  }
}
