// The panel behind the bell, and the toast that says how an operation ended.

import { Button, DrawerBody, DrawerHeader, DrawerHeaderTitle, Link as TextLink, OverlayDrawer, ProgressBar, Toast, ToastBody, Toaster, ToastTitle, useId, useToastController } from "@fluentui/react-components";
import { CheckmarkCircle20Filled, Dismiss20Regular, ErrorCircle20Filled, ArrowSyncCircle20Regular } from "@fluentui/react-icons";
import { useEffect, useRef, type ReactNode } from "react";

import { dismiss, useNotifications, type Notification } from "./notifications";
import { ago, Link, Name } from "./text";

const ICONS = {
  running: <ArrowSyncCircle20Regular className="notice-running" aria-label="Running" />,
  succeeded: <CheckmarkCircle20Filled className="notice-succeeded" aria-label="Succeeded" />,
  failed: <ErrorCircle20Filled className="notice-failed" aria-label="Failed" />,
};

export function NotificationPanel({ open, onClose }: { open: boolean; onClose: () => void }): ReactNode {
  const all = useNotifications();
  return (
    <OverlayDrawer open={open} onOpenChange={(_, state) => !state.open && onClose()} position="end" size="small">
      <DrawerHeader>
        <DrawerHeaderTitle heading={{ as: "h2" }} action={<Button appearance="subtle" aria-label="Close" icon={<Dismiss20Regular />} onClick={onClose} />}>
          Notifications
        </DrawerHeaderTitle>
      </DrawerHeader>
      <DrawerBody>
        {all.length === 0 && <p>No new notifications from this session.</p>}
        {all.length > 0 && (
          <p className="notice-clear">
            <TextLink onClick={() => dismiss()}>Dismiss all</TextLink>
          </p>
        )}
        <ul className="notices">
          {all.map((one) => (
            <li key={one.number} className="notice">
              <div className="notice-head">
                {ICONS[one.state]}
                <strong>{one.title}</strong>
                {one.state !== "running" && <Button appearance="subtle" size="small" aria-label="Dismiss" icon={<Dismiss20Regular />} onClick={() => dismiss(one.number)} />}
              </div>
              <NoticeText one={one} />
              {one.state === "running" && <ProgressBar aria-label={one.title} />}
              <div className="notice-since">{ago(new Date(one.since).toISOString())}</div>
            </li>
          ))}
        </ul>
      </DrawerBody>
    </OverlayDrawer>
  );
}

function NoticeText({ one }: { one: Notification }): ReactNode {
  const words = one.code === undefined ? one.text : `${one.code}: ${one.text}`;
  return <p className="notice-text">{one.to !== undefined && one.state !== "failed" ? <Link to={one.to}><Name>{words}</Name></Link> : <Name>{words}</Name>}</p>;
}

/** Says what begins and what has ended, for eyes and for screen readers. */
export function Toasts(): ReactNode {
  const id = useId("toasts");
  const { dispatchToast, updateToast } = useToastController(id);
  const all = useNotifications();
  const told = useRef(new Map<number, string>());
  useEffect(() => {
    for (const one of all) {
      const before = told.current.get(one.number);
      if (before === one.state) continue;
      told.current.set(one.number, one.state);
      const content = (
        <Toast>
          <ToastTitle media={ICONS[one.state]}>{one.title}</ToastTitle>
          <ToastBody>
            <NoticeText one={one} />
            {one.state === "running" && <ProgressBar aria-label={one.title} />}
          </ToastBody>
        </Toast>
      );
      const intent = one.state === "failed" ? ("error" as const) : one.state === "succeeded" ? ("success" as const) : ("info" as const);
      const options = { toastId: String(one.number), intent, timeout: one.state === "running" ? -1 : 5000 };
      if (before === undefined) dispatchToast(content, options);
      else updateToast({ content, ...options });
    }
  }, [all, dispatchToast, updateToast]);
  return <Toaster toasterId={id} position="top-end" offset={{ vertical: 52, horizontal: 12 }} />;
}
