// From an address to its page.

import { Suspense, type ReactNode } from "react";

import { useAddress } from "./shell/router";
import { Browse } from "./pages/Browse";
import { CreateHub } from "./pages/CreateHub";
import { Home } from "./pages/Home";
import { toolOf, wizardsOf } from "./pages/registry";
import { ResourcePage } from "./pages/ResourcePage";
import { Bulkhead, Empty, Loading } from "./shell/Blade";
import { Shell } from "./shell/Shell";
import { Link } from "./shell/text";

export function App(): ReactNode {
  const { segments, text } = useAddress();
  return (
    <Shell>
      <Bulkhead about={text}>
        <Suspense fallback={<Loading />}>
          <Page key={segments[0] === "resource" ? "resource" : segments.join("/")} />
        </Suspense>
      </Bulkhead>
    </Shell>
  );
}

function Page(): ReactNode {
  const { segments, query } = useAddress();
  const [first, ...rest] = segments;
  if (first === undefined) return <Home />;
  if (first === "browse") return <Browse type={rest.join("/")} />;
  if (first === "resource") return <ResourcePage segments={rest} />;
  if (first === "create") {
    const wizard = wizardsOf(rest.join("/"))[0];
    if (rest.length === 0) return <CreateHub known={query} />;
    if (wizard !== undefined) return <wizard.component known={query} />;
  }
  if (first === "tools" && rest[0] !== undefined) {
    const tool = toolOf(rest[0]);
    if (tool !== undefined) return <tool.component rest={rest.slice(1)} query={query} />;
  }
  return (
    <Empty title="There is no such page">
      <p>
        <Link to="/">Home</Link>
      </p>
    </Empty>
  );
}
