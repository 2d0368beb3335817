// The portal begins: who is signed in, then the shell. Every style tag of Fluent's carries the page's nonce.

import "@fontsource-variable/open-sans/wght.css";
import "./shell/shell.css";
import "./pages/pages.css";
import "./forms/forms.css";

import { createDOMRenderer, FluentProvider, RendererProvider, Spinner } from "@fluentui/react-components";
import { StrictMode, useEffect, useState, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import { startHeartbeat } from "./arm/connection";
import { Failure } from "./shell/Blade";
import { startRouter } from "./shell/router";
import { SessionContext, startSession, type Session } from "./shell/session";
import { dark, light, useDark } from "./shell/theme";

import.meta.glob("./**/*.register.tsx", { eager: true });

const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
const renderer = createDOMRenderer(document, { styleElementAttributes: { nonce } });

function Portal(): ReactNode {
  const isDark = useDark();
  const [session, setSession] = useState<Session>();
  const [error, setError] = useState<Error>();
  useEffect(() => {
    const begin = (found: Session | undefined): void => {
      setSession(found);
      if (found !== undefined) startHeartbeat();
    };
    startSession().then(begin, (found: unknown) => setError(found as Error));
  }, []);
  return (
    <RendererProvider renderer={renderer}>
      <FluentProvider theme={isDark ? dark : light} className={isDark ? "portal dark" : "portal light"}>
        {error !== undefined && <Failure error={error} title="The portal could not start" />}
        {session === undefined && error === undefined && <Spinner className="starting" label="Starting" />}
        {session !== undefined && (
          <SessionContext value={session}>
            <App />
          </SessionContext>
        )}
      </FluentProvider>
    </RendererProvider>
  );
}

startRouter();
createRoot(document.getElementById("portal")!).render(
  <StrictMode>
    <Portal />
  </StrictMode>,
);
