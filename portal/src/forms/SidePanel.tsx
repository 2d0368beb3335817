// A form beside the page it belongs to (Add peering, Edit subnet): title, content, one button that sends it, and Cancel.

import { Button, DrawerBody, DrawerFooter, DrawerHeader, DrawerHeaderTitle, OverlayDrawer } from "@fluentui/react-components";
import { Dismiss20Regular } from "@fluentui/react-icons";
import { useState, type FormEvent, type ReactNode } from "react";

import { Failure } from "../shell/Blade";

export function SidePanel(props: {
  open: boolean;
  title: string;
  /** "Add", "Save" */
  action: string;
  /** Sends the form; the panel closes when it resolves and shows what it raises. */
  onSubmit: () => Promise<unknown>;
  onClose: () => void;
  disabled?: boolean;
  size?: "small" | "medium" | "large";
  children: ReactNode;
}): ReactNode {
  const { open, title, action, onSubmit, onClose, disabled = false, size = "medium", children } = props;
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    onSubmit()
      .then(onClose, (found: unknown) => setError(found as Error))
      .finally(() => setBusy(false));
  };
  return (
    <OverlayDrawer open={open} onOpenChange={(_, state) => !state.open && onClose()} position="end" size={size} modalType="modal">
      <form className="panel" onSubmit={submit} noValidate>
        <DrawerHeader>
          <DrawerHeaderTitle heading={{ as: "h2" }} action={<Button appearance="subtle" aria-label="Close" icon={<Dismiss20Regular />} onClick={onClose} />}>
            {title}
          </DrawerHeaderTitle>
        </DrawerHeader>
        <DrawerBody>
          {error !== undefined && <Failure error={error} />}
          {children}
        </DrawerBody>
        <DrawerFooter>
          <Button appearance="primary" type="submit" disabled={disabled || busy}>
            {action}
          </Button>
          <Button onClick={onClose}>Cancel</Button>
        </DrawerFooter>
      </form>
    </OverlayDrawer>
  );
}
