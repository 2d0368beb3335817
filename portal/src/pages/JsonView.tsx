// The resource as the API answers it, in the api-version that is chosen.

import { Input } from "@fluentui/react-components";
import { useState, type ReactNode } from "react";

import { get, type Resource } from "../arm/client";
import { useLoaded } from "../arm/hooks";
import { SUBSCRIPTION_TYPE } from "../arm/ids";
import { typeOf } from "../arm/types";
import { Failure, Loading } from "../shell/Blade";
import { Copy, Name } from "../shell/text";
import type { ResourceProps } from "./registry";

const WELL_FORMED = /^\d{4}-\d\d-\d\d(-preview)?$/;

export default function JsonView({ id }: ResourceProps): ReactNode {
  const [version, setVersion] = useState(id.type === SUBSCRIPTION_TYPE ? "2022-12-01" : (typeOf(id.type)?.apiVersion ?? ""));
  const found = useLoaded(WELL_FORMED.test(version) ? `json ${id.text} ${version}` : undefined, (signal) => get<Resource>(id.text, { apiVersion: version, signal }), () => true);
  const text = found.data === undefined ? "" : JSON.stringify(found.data, undefined, 2);
  return (
    <section className="json" aria-label="Resource JSON">
      <div className="json-line">
        <label htmlFor="json-id">Resource ID</label>
        <Input id="json-id" readOnly value={found.data?.id ?? id.text} contentAfter={<Copy text={found.data?.id ?? id.text} what="Resource ID" />} />
      </div>
      <div className="json-line">
        <label htmlFor="json-version">API version</label>
        <Input id="json-version" value={version} onChange={(_, { value }) => setVersion(value)} />
      </div>
      {found.error && <Failure error={found.error} />}
      {!found.data && !found.error && <Loading />}
      {found.data !== undefined && (
        <div className="json-text">
          <Copy text={text} what="JSON" />
          <pre tabIndex={0} aria-label="JSON">
            {text.split("\n").map((line, n) => (
              <span key={n}>
                <Name>{line}</Name>
                {"\n"}
              </span>
            ))}
          </pre>
        </div>
      )}
    </section>
  );
}
