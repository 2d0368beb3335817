// What a network interface delivered and dropped, and why: totals of its port, read again every two seconds, with their rate.

import { useRef, type ReactNode } from "react";

import { get, type Json } from "../arm/client";
import { useLoaded } from "../arm/hooks";
import type { ResourceProps } from "../pages/registry";
import { Failure, Loading } from "../shell/Blade";
import { Name } from "../shell/text";
import { object, objects } from "./change";
import { useEvery } from "./Sublist";
import { PlainTable } from "./Table";

const EVERY = 2000;
const LABELS: Record<string, string> = { PacketsDelivered: "Packets delivered", BytesDelivered: "Bytes delivered" };

interface Counted {
  readonly name: string;
  readonly reason: string | undefined;
  readonly total: number;
  readonly at: number;
}

async function read(id: string, signal: AbortSignal): Promise<Counted[]> {
  const answer = await get<Json>(`${id}/providers/Microsoft.Insights/metrics`, { apiVersion: "2018-01-01", query: { $filter: "Reason eq '*'" }, signal });
  const at = performance.now();
  return objects(answer, "value").flatMap((metric) =>
    objects(metric, "timeseries").map((series): Counted => {
      const reason = objects(series, "metadatavalues")[0]?.value;
      const total = Number(objects(series, "data").at(-1)?.total ?? 0);
      return { name: String(object(metric.name).value), reason: typeof reason === "string" ? reason : undefined, total, at };
    }),
  );
}

export default function Metrics({ id }: ResourceProps): ReactNode {
  const found = useLoaded(`metrics ${id.text.toLowerCase()}`, (signal) => read(id.text, signal));
  const before = useRef<{ now: Counted[] | undefined; last: Counted[] | undefined }>({ now: undefined, last: undefined });
  if (found.data !== undefined && found.data !== before.current.now) before.current = { now: found.data, last: before.current.now };
  useEvery(EVERY, true, found.reload);
  const rate = (one: Counted): string => {
    const last = before.current.last?.find((other) => other.name === one.name && other.reason === one.reason);
    if (last === undefined || one.at <= last.at) return "-";
    return `${Math.max(((one.total - last.total) * 1000) / (one.at - last.at), 0).toFixed(1)}/s`;
  };
  const number = (one: Counted): ReactNode => one.total.toLocaleString("en");
  if (found.error) return <Failure error={found.error} />;
  if (found.data === undefined) return <Loading />;
  const drops = found.data.filter((one) => one.name === "PacketsDropped" && one.reason !== undefined && one.total > 0);
  return (
    <section className="settings" aria-label="Metrics">
      <p className="lead">Totals since the interface's port exists. They refresh by themselves.</p>
      <h2>Delivered</h2>
      <PlainTable
        label="Delivered"
        rows={found.data.filter((one) => one.name in LABELS)}
        columns={[
          { title: "Metric", cell: (one) => LABELS[one.name] },
          { title: "Total", cell: number },
          { title: "Rate", cell: rate },
        ]}
      />
      <h2>Packets dropped, by reason</h2>
      <PlainTable
        label="Packets dropped, by reason"
        rows={drops}
        empty="No packet was dropped"
        columns={[
          { title: "Reason", cell: (one) => <Name>{one.reason ?? "-"}</Name> },
          { title: "Total", cell: number },
          { title: "Rate", cell: rate },
        ]}
      />
    </section>
  );
}
