// The portal around its pages: header, navigation, banners, notifications, the question before an unsaved form is left.

import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, MessageBar, MessageBarActions, MessageBarBody, MessageBarTitle } from "@fluentui/react-components";
import { Add20Regular, Home20Regular, List20Regular } from "@fluentui/react-icons";
import { useEffect, useState, type ReactNode } from "react";

import { useConnection } from "../arm/hooks";
import { GROUP_TYPE } from "../arm/ids";
import { topTypes } from "../arm/types";
import { listedTools } from "../pages/registry";
import { Header } from "./Header";
import { TypeIcon } from "./icons";
import { NotificationPanel, Toasts } from "./Notifications";
import { browsePath, isGuarded, onLeave, useAddress } from "./router";
import { signIn } from "./session";
import { follow } from "./text";

export function Shell({ children }: { children: ReactNode }): ReactNode {
  const [navigation, setNavigation] = useState(false);
  const [notices, setNotices] = useState(false);
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to content
      </a>
      <Header onNavigation={() => setNavigation(!navigation)} onNotifications={() => setNotices(!notices)} />
      <Banners />
      <div className="body">
        {navigation && <Navigation />}
        <main id="content" tabIndex={-1}>
          {children}
        </main>
      </div>
      <NotificationPanel open={notices} onClose={() => setNotices(false)} />
      <Toasts />
      <LeaveQuestion />
    </div>
  );
}

/** Favourites as in Azure's portal: what there is to create, all resources, then the types by name. */
function Navigation(): ReactNode {
  const { text } = useAddress();
  const entry = (to: string, icon: ReactNode, words: string): ReactNode => (
    <li key={to}>
      <a href={to} aria-current={text.split("?")[0] === to ? "page" : undefined} onClick={(event) => follow(event, to)}>
        {icon}
        <span>{words}</span>
      </a>
    </li>
  );
  return (
    <nav className="navigation" aria-label="Portal menu">
      <ul>
        {entry("/create", <Add20Regular aria-hidden className="type-icon type-icon-green" />, "Create a resource")}
        {entry("/", <Home20Regular aria-hidden className="type-icon type-icon-blue" />, "Home")}
      </ul>
      <ul className="navigation-types">
        {entry("/browse/all", <List20Regular aria-hidden className="type-icon type-icon-green" />, "All resources")}
        {entry(browsePath(GROUP_TYPE), <TypeIcon type={GROUP_TYPE} />, "Resource groups")}
        {listedTools().map((tool) => entry(`/tools/${tool.key}`, <tool.icon aria-hidden className="type-icon type-icon-teal" />, tool.title))}
        {topTypes()
          .filter((type) => type.type !== GROUP_TYPE && type.located)
          .map((type) => entry(browsePath(type.type), <TypeIcon type={type.type} />, type.plural))}
      </ul>
    </nav>
  );
}

function Banners(): ReactNode {
  const { online, signedIn } = useConnection();
  if (online && signedIn) return null;
  return (
    <div role="status" className="banner">
      {!online ? (
        <MessageBar intent="warning">
          <MessageBarBody>
            <MessageBarTitle>You're offline.</MessageBarTitle>
            The cloud does not answer. What you have typed stays here; the page goes on by itself once the cloud is back.
          </MessageBarBody>
        </MessageBar>
      ) : (
        <MessageBar intent="warning">
          <MessageBarBody>
            <MessageBarTitle>Your sign-in has ended.</MessageBarTitle>
            What you have typed stays here: sign in in another tab, and this page goes on by itself.
          </MessageBarBody>
          <MessageBarActions>
            <Button onClick={() => (isGuarded() ? void open("/portal/signin", "_blank", "noopener") : signIn())}>Sign in</Button>
          </MessageBarActions>
        </MessageBar>
      )}
    </div>
  );
}

/** Says what is unsaved before it is lost. */
function LeaveQuestion(): ReactNode {
  const [go, setGo] = useState<(() => void) | undefined>();
  useEffect(() => onLeave((leave) => setGo(() => leave)), []);
  const stay = (): void => setGo(undefined);
  return (
    <Dialog modalType="alert" open={go !== undefined} onOpenChange={(_, state) => !state.open && stay()}>
      <DialogSurface>
        <DialogBody>
          <DialogTitle>Your unsaved edits will be discarded</DialogTitle>
          <DialogContent>Leave this page without saving what you have entered?</DialogContent>
          <DialogActions>
            <Button
              appearance="primary"
              onClick={() => {
                stay();
                go?.();
              }}
            >
              Leave
            </Button>
            <Button onClick={stay}>Stay</Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}
