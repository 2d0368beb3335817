// The drawing with its commands and its panel, for any scope: everything, a resource group, a virtual network.

import { Button, Menu, MenuItem, MenuList, MenuPopover, MenuTrigger, ToolbarButton } from "@fluentui/react-components";
import { ArrowDownload20Regular, ArrowRouting20Regular, Dismiss20Regular, ArrowClockwise20Regular, FullScreenMaximize20Regular, ChevronDoubleDown20Regular, ChevronDoubleUp20Regular, ZoomIn20Regular, ZoomOut20Regular } from "@fluentui/react-icons";
import { useMemo, useRef, useState, type ReactNode } from "react";

import { useCan } from "../arm/hooks";
import { CommandBar, CommandButton, Empty, Failure, Loading } from "../shell/Blade";
import { navigate, resourcePath } from "../shell/router";
import { useSession } from "../shell/session";
import { useDark } from "../shell/theme";
import { Canvas, type Control } from "./Canvas";
import { useGraph } from "./data";
import { Details } from "./Details";
import { count } from "./describe";
import { pictureOf, savePng, saveSvg } from "./export";
import { touched, type Route } from "./flow";
import { ADDRESS, FlowPanel, type Ends } from "./FlowPanel";
import { layoutOf } from "./layout";
import { within, type Graph } from "./model";
import { paletteOf } from "./palette";
import "./topology.css";

const CHECK = "Microsoft.Network/networkWatchers/connectivityCheck/action";
/** Up to as many networks and places, all networks are open at first. */
const FEW_NETWORKS = 8;
const FEW_STATIONS = 60;

function openAtFirst(graph: Graph): ReadonlySet<string> {
  const stations = graph.networks.reduce((sum, network) => sum + network.subnets.reduce((some, subnet) => some + subnet.stations.length, 0), 0);
  return new Set(graph.networks.length <= FEW_NETWORKS && stations <= FEW_STATIONS ? graph.networks.map((network) => network.key) : []);
}

export function Topology({ scope, filter }: { scope?: string; filter?: (graph: Graph) => ReactNode }): ReactNode {
  const found = useGraph();
  const { subscriptions } = useSession();
  const can = useCan(subscriptions[0] && `/subscriptions/${subscriptions[0].subscriptionId}`);
  const palette = paletteOf(useDark());
  const control = useRef<Control>(null);
  const graph = useMemo(() => found.data && within(found.data, scope), [found.data, scope]);
  const [turned, setTurned] = useState<{ about: string; open: ReadonlySet<string> }>();
  const [chosen, setChosen] = useState<string>();
  const [checking, setChecking] = useState(false);
  const [ends, setEnds] = useState<Ends>({ from: undefined, to: undefined });
  const [route, setRoute] = useState<Route>();
  const [failed, setFailed] = useState<Error>();
  const about = scope ?? "";
  const open = useMemo(() => (turned?.about === about ? turned.open : graph === undefined ? new Set<string>() : openAtFirst(graph)), [turned, graph, about]);
  const layout = useMemo(() => graph && layoutOf(graph, open), [graph, open]);
  if (found.error !== undefined && graph === undefined) return <Failure error={found.error} />;
  if (graph === undefined || layout === undefined) return <Loading />;

  const setOpen = (next: ReadonlySet<string>): void => setTurned({ about, open: next });
  const toggle = (key: string): void => {
    const next = new Set(open);
    if (!next.delete(key)) next.add(key);
    setOpen(next);
  };
  const box = layout.boxes.find((one) => one.key === chosen);
  const wire = layout.wires.find((one) => one.key === chosen);
  const choose = (key: string): void => {
    const picked = layout.boxes.find((one) => one.key === key);
    if (checking && picked?.kind === "internet") setEnds({ ...ends, to: ADDRESS });
    else if (checking && picked?.kind === "station") {
      if (picked.station.machine === undefined) return;
      const restart = ends.from === undefined || ends.to !== undefined;
      setRoute(undefined);
      setEnds(restart ? { from: key, to: undefined } : { from: ends.from, to: key === ends.from ? undefined : key });
    } else if (picked?.kind === "more") {
      return;
    } else if (!checking) setChosen(key === chosen ? undefined : key);
  };
  const openPage = (key: string): void => {
    const at = layout.boxes.find((one) => one.key === key);
    const line = layout.wires.find((one) => one.key === key);
    if (at?.kind === "network") navigate(resourcePath(at.network.id));
    if (at?.kind === "subnet") navigate(resourcePath(at.subnet.id));
    if (at?.kind === "station") navigate(resourcePath(at.station.id));
    if (line?.peering.halves[0] !== undefined) navigate(resourcePath(line.peering.halves[0].id));
  };
  const check = (from?: string): void => {
    setChosen(undefined);
    setChecking(true);
    setRoute(undefined);
    setEnds({ from, to: undefined });
  };
  const close = (): void => {
    setChecking(false);
    setChosen(undefined);
    setRoute(undefined);
  };
  const showRoute = (next: Route | undefined): void => {
    setRoute(next);
    if (next !== undefined) setOpen(new Set([...open, ...touched(next, graph)]));
  };
  const save = (kind: "svg" | "png"): void => {
    const svg = control.current?.svg();
    if (!svg) return;
    setFailed(undefined);
    const picture = pictureOf(svg, layout, palette.ground, "Topology");
    if (kind === "svg") saveSvg(picture, "topology");
    else savePng(picture, "topology").catch((error: unknown) => setFailed(error as Error));
  };
  const allOpen = graph.networks.every((network) => open.has(network.key) || network.subnets.length === 0);
  const marks = { chosen, from: checking ? ends.from : undefined, to: checking ? ends.to : undefined, route };
  return (
    <>
      <CommandBar>
        {can(CHECK) && (
          <CommandButton icon={<ArrowRouting20Regular />} onClick={() => check()}>
            Check a flow
          </CommandButton>
        )}
        <CommandButton icon={allOpen ? <ChevronDoubleUp20Regular /> : <ChevronDoubleDown20Regular />} onClick={() => setOpen(new Set(allOpen ? [] : graph.networks.map((network) => network.key)))}>
          {allOpen ? "Collapse all" : "Expand all"}
        </CommandButton>
        <CommandButton icon={<ZoomIn20Regular />} onClick={() => control.current?.zoom(1.25)}>
          Zoom in
        </CommandButton>
        <CommandButton icon={<ZoomOut20Regular />} onClick={() => control.current?.zoom(0.8)}>
          Zoom out
        </CommandButton>
        <CommandButton icon={<FullScreenMaximize20Regular />} onClick={() => control.current?.fit()}>
          Fit
        </CommandButton>
        <Menu>
          <MenuTrigger disableButtonEnhancement>
            <ToolbarButton icon={<ArrowDownload20Regular />}>Export</ToolbarButton>
          </MenuTrigger>
          <MenuPopover>
            <MenuList>
              <MenuItem onClick={() => save("svg")}>SVG</MenuItem>
              <MenuItem onClick={() => save("png")}>PNG</MenuItem>
            </MenuList>
          </MenuPopover>
        </Menu>
        <CommandButton icon={<ArrowClockwise20Regular />} onClick={found.reload}>
          Refresh
        </CommandButton>
        {filter?.(found.data!)}
      </CommandBar>
      {failed !== undefined && <Failure error={failed} />}
      {graph.networks.length === 0 ? (
        <Empty title="No virtual networks to display" />
      ) : (
        <div className="topology">
          <div className="topology-canvas">
            <Canvas graph={graph} layout={layout} palette={palette} marks={marks} about={about} control={control} onChoose={choose} onOpen={openPage} onToggle={toggle} />
            <Legend graph={graph} />
          </div>
          {(checking || box !== undefined || wire !== undefined) && (
            <aside className="topology-panel" aria-label={checking ? "Check a flow" : "Details"}>
              <div className="topology-panel-head">
                <h2>{checking ? "Check a flow" : "Details"}</h2>
                <Button appearance="subtle" size="small" aria-label="Close panel" icon={<Dismiss20Regular />} onClick={close} />
              </div>
              {checking ? (
                <FlowPanel graph={graph} ends={ends} onEnds={setEnds} route={route} onRoute={showRoute} />
              ) : (
                <Details graph={graph} box={box} wire={wire} onFrom={can(CHECK) ? check : undefined} onToggle={toggle} />
              )}
            </aside>
          )}
        </div>
      )}
    </>
  );
}

function Legend({ graph }: { graph: Graph }): ReactNode {
  return (
    <p className="topology-legend">
      <span>{count(graph.networks.length, "virtual network")}</span>
      <span>{count(graph.peerings.length, "peering")}</span>
      <span className="topology-key topology-connected">Connected</span>
      <span className="topology-key topology-initiated">Initiated</span>
      <span className="topology-key topology-disconnected">Disconnected</span>
    </p>
  );
}
