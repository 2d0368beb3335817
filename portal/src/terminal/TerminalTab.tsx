// A terminal in a browser tab of its own, at `/tools/bastion/{id of the machine}`. Its session comes from the tab that opened it.

import { lazy, Suspense, useEffect, useState, type ReactNode } from "react";

import { nameOf } from "../arm/ids";
import { Blade, Empty, Loading } from "../shell/Blade";
import { navigate, resourcePath } from "../shell/router";
import { Link } from "../shell/text";
import { received, type Answer } from "./handover";
import { Why } from "./Why";

const Terminal = lazy(() => import("./Terminal"));

export default function TerminalTab({ rest }: { rest: readonly string[] }): ReactNode {
  const [answer, setAnswer] = useState<Answer | "none">();
  const machine = "/" + rest.join("/");
  const name = nameOf(machine);
  const again = (): void => navigate(resourcePath(machine, "bastion"));
  useEffect(() => {
    void received().then((found) => setAnswer(found ?? "none"));
  }, []);
  return (
    <Blade title={name} entry="Bastion" subtitle="Virtual machine">
      {answer === undefined && <Loading what="Opening the session" />}
      {answer === "none" && (
        <Empty title="There is no session here">
          <p>A session ends when its page is left or loaded anew, and its credentials are kept nowhere.</p>
          <p>
            <Link to={resourcePath(machine, "bastion")}>Connect again</Link>
          </p>
        </Empty>
      )}
      {typeof answer === "object" && !("given" in answer) && <Why code={answer.code} message={answer.message} machine={machine} name={name} onAgain={again} />}
      {typeof answer === "object" && "given" in answer && (
        <Suspense fallback={<Loading />}>
          <Terminal given={answer.given} machine={machine} name={name} onAgain={again} />
        </Suspense>
      )}
    </Blade>
  );
}
