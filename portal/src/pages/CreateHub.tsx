// Create a resource: every wizard there is.

import type { ReactNode } from "react";

import { Blade } from "../shell/Blade";
import { TypeIcon } from "../shell/icons";
import { createPath } from "../shell/router";
import { follow } from "../shell/text";
import { singularOf } from "../arm/types";
import { allWizards } from "./registry";

export function CreateHub({ known }: { known: URLSearchParams }): ReactNode {
  return (
    <Blade title="Create a resource">
      <ul className="services services-wide">
        {allWizards()
          .filter((wizard) => !wizard.nested)
          .map((wizard) => {
            const to = createPath(wizard.type, Object.fromEntries(known));
            return (
              <li key={wizard.title}>
                <a href={to} onClick={(event) => follow(event, to)}>
                  <TypeIcon type={wizard.type} large />
                  <span>{singularOf(wizard.type)}</span>
                </a>
              </li>
            );
          })}
      </ul>
    </Blade>
  );
}
