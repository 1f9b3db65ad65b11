import type { Map as Flows, MapFlow, MapNode } from '../api/types';

// The picture's measures, in pixels.
export const width = 1180;
export const nodeWidth = 10;
const labelRoom = 250; // left and right of the outer columns
const lineHeight = 20; // that a node takes at least, so that its name can be read
const nodeGap = 4;
const groupGap = 26; // with room for the group's name
const wanted = 560; // height of what is to be seen at once

/** Placed is a node in the picture. */
export interface Placed {
  node: MapNode;
  x: number;
  y: number;
  height: number;
  side: 'left' | 'middle' | 'right';
}

/** Ribbon is a flow in the picture. */
export interface Ribbon {
  flow: MapFlow;
  from: Placed;
  to: Placed;
  y1: number; // of its middle, and how thick it is there
  y2: number;
  thick1: number;
  thick2: number;
}

/** Group is what nodes of a column have in common: the account of roles, the namespace of service accounts. */
export interface Group {
  label: string;
  x: number;
  y: number;
  side: Placed['side'];
}

export interface Layout {
  height: number;
  nodes: Placed[];
  ribbons: Ribbon[];
  groups: Group[];
  columns: Placed[][];
}

/** gathered is the kind of a node that stands for those of its column that there is no room for. */
export const gathered = 'gathered';

/**
 * gather keeps the most important nodes of each column, those whose flows fail before the
 * largest, and makes one of all others.
 */
export function gather(flows: Flows, most: number): Flows {
  const failing = new Set(flows.flows.filter((f) => f.failing > 0).flatMap((f) => [f.from, f.to]));
  const into = new Map<string, string>();
  const nodes: MapNode[] = [];
  inColumns(flows.nodes).forEach((column, c) => {
    if (column.length <= most) {
      nodes.push(...column);
      return;
    }
    const ranked = column.toSorted((a, b) => Number(failing.has(b.id)) - Number(failing.has(a.id)) || b.associations - a.associations || key(a).localeCompare(key(b)));
    const rest = ranked.slice(most - 1);
    const id = `${gathered}:${c}`;
    for (const n of rest) into.set(n.id, id);
    const kinds = { namespace: 'namespaces', serviceAccount: 'service accounts', role: 'roles', account: 'accounts' }[rest[0]?.kind ?? ''] ?? 'others';
    nodes.push(...ranked.slice(0, most - 1), { id, kind: gathered, column: c, label: `${rest.length.toLocaleString('en')} more ${kinds}`, associations: rest.reduce((n, r) => n + r.associations, 0) });
  });
  if (into.size === 0) return flows;
  const end = (id: string) => into.get(id) ?? id;
  const joined = new Map<string, MapFlow>();
  for (const f of flows.flows) {
    const [from, to] = [end(f.from), end(f.to)];
    const paths = (f.paths ?? []).map((p) => p.split(' ').map(end).join(' '));
    const one = joined.get(`${from} ${to}`);
    if (!one) {
      joined.set(`${from} ${to}`, { ...f, from, to, paths });
      continue;
    }
    one.associations += f.associations;
    one.working += f.working;
    one.failing += f.failing;
    one.associationId = undefined;
    one.paths = [...new Set([...one.paths, ...paths])];
  }
  return { ...flows, nodes, flows: [...joined.values()] };
}

/** layout places nodes in columns, and in each so that few flows cross. */
export function layout(flows: Flows): Layout {
  const columns = inColumns(flows.nodes);
  const order = ordered(columns, flows.flows);
  const total = Math.max(1, ...columns.map((c) => c.reduce((n, node) => n + node.associations, 0)));
  const scale = Math.min(12, wanted / total);
  const last = Math.max(1, columns.length - 1);
  const placed = new Map<string, Placed>();
  const groups: Group[] = [];
  const heights: number[] = [];
  const placedColumns = order.map((column, c) => {
    const x = labelRoom + (c * (width - 2 * labelRoom - nodeWidth)) / last;
    const side = c === 0 ? 'left' : c === columns.length - 1 ? 'right' : ('middle' as const);
    let y = 8;
    let parent: string | undefined;
    const list = column.map((node) => {
      if ((node.parent ?? '') !== parent) {
        parent = node.parent ?? '';
        if (parent && parent !== node.label) {
          y += y > 8 ? groupGap : 18;
          groups.push({ label: node.kind === 'role' ? `Account ${parent}` : parent, x, y: y - 6, side });
        }
      }
      const height = Math.max(lineHeight - nodeGap, node.associations * scale);
      const p: Placed = { node, x, y, height, side };
      placed.set(node.id, p);
      y += height + nodeGap;
      return p;
    });
    heights.push(y);
    return list;
  });
  const height = Math.max(120, ...heights) + 8;
  // Short columns stand in the middle of the tall ones.
  placedColumns.forEach((column, c) => {
    const drop = Math.max(0, (height - (heights[c] ?? 0)) / 2);
    for (const p of column) p.y += drop;
    for (const g of groups) if (g.x === column[0]?.x) g.y += drop;
  });
  return { height, nodes: [...placed.values()], groups, columns: placedColumns, ribbons: ribbons(flows.flows, placed, scale) };
}

function inColumns(nodes: MapNode[]): MapNode[][] {
  const columns: MapNode[][] = [];
  for (const node of nodes) (columns[node.column] ??= []).push(node);
  return columns.filter(Boolean);
}

/** ordered sorts each column by where the other ends of its flows are, groups together, in a few sweeps. */
function ordered(columns: MapNode[][], flows: MapFlow[]): MapNode[][] {
  const ends = new Map<string, { id: string; weight: number }[]>();
  const join = (a: string, b: string, weight: number) => {
    const list = ends.get(a);
    if (list) list.push({ id: b, weight });
    else ends.set(a, [{ id: b, weight }]);
  };
  for (const f of flows) {
    join(f.from, f.to, f.associations);
    join(f.to, f.from, f.associations);
  }
  let out = columns.map((c) => c.toSorted(last((a, b) => key(a).localeCompare(key(b)))));
  for (let sweep = 0; sweep < 4; sweep++) {
    const at = new Map<string, number>();
    for (const column of out) column.forEach((n, i) => at.set(n.id, (i + 0.5) / column.length));
    const mean = (ids: { id: string; weight: number }[]) => {
      let sum = 0;
      let weights = 0;
      for (const { id, weight } of ids) {
        sum += (at.get(id) ?? 0.5) * weight;
        weights += weight;
      }
      return weights ? sum / weights : 0.5;
    };
    out = out.map((column, c) => {
      if (c === 0 && sweep === 0) return column; // the names' order to begin with
      const own = new Map(column.map((n) => [n.id, mean(ends.get(n.id) ?? [])]));
      const parents = new Map<string, number[]>();
      for (const n of column) parents.set(n.parent ?? '', [...(parents.get(n.parent ?? '') ?? []), own.get(n.id) ?? 0.5]);
      const of = (parent: string) => {
        const all = parents.get(parent) ?? [];
        return all.reduce((s, v) => s + v, 0) / Math.max(1, all.length);
      };
      return column.toSorted(last((a, b) => {
        const [pa, pb] = [a.parent ?? '', b.parent ?? ''];
        if (pa !== pb) return of(pa) - of(pb) || pa.localeCompare(pb);
        return (own.get(a.id) ?? 0) - (own.get(b.id) ?? 0) || a.label.localeCompare(b.label);
      }));
    });
  }
  return out;
}

/** last is an order in which what is gathered comes last. */
const last = (order: (a: MapNode, b: MapNode) => number) => (a: MapNode, b: MapNode) => Number(a.kind === gathered) - Number(b.kind === gathered) || order(a, b);

const key = (n: MapNode) => `${n.parent ?? ''} ${n.label}`;

/** ribbons give each flow its place at both ends: in the order of the other ends. */
function ribbons(flows: MapFlow[], placed: Map<string, Placed>, scale: number): Ribbon[] {
  const out: Ribbon[] = [];
  for (const flow of flows) {
    const from = placed.get(flow.from);
    const to = placed.get(flow.to);
    if (from && to) out.push({ flow, from, to, y1: 0, y2: 0, thick1: 0, thick2: 0 });
  }
  const stack = (end: 'from' | 'to', other: 'from' | 'to', set: (r: Ribbon, y: number, thick: number) => void) => {
    const byNode = Map.groupBy(out, (r) => r[end]);
    for (const [node, list] of byNode) {
      list.sort((a, b) => a[other].y - b[other].y);
      const wanted = (r: Ribbon) => Math.max(1.5, r.flow.associations * scale);
      const sum = list.reduce((s, r) => s + wanted(r), 0);
      const squeeze = Math.min(1, node.height / sum);
      let y = node.y + (node.height - sum * squeeze) / 2;
      for (const r of list) {
        const thick = wanted(r) * squeeze;
        set(r, y + thick / 2, thick);
        y += thick;
      }
    }
  };
  stack('from', 'to', (r, y1, thick1) => Object.assign(r, { y1, thick1 }));
  stack('to', 'from', (r, y2, thick2) => Object.assign(r, { y2, thick2 }));
  return out;
}

/** area is the outline of a ribbon, or of a share of it. */
export function area(r: Ribbon, share = 1): string {
  const x1 = r.from.x + nodeWidth;
  const x2 = r.to.x;
  const bend = (x1 + x2) / 2;
  const [h1, h2] = [Math.max(0.8, (r.thick1 * share) / 2), Math.max(0.8, (r.thick2 * share) / 2)];
  const edge = (a: number, ya: number, b: number, yb: number) => `${a} ${ya} C${bend} ${ya} ${bend} ${yb} ${b} ${yb}`;
  return `M${edge(x1, r.y1 - h1, x2, r.y2 - h2)} L${edge(x2, r.y2 + h2, x1, r.y1 + h1)} Z`;
}

/** Trace is what is on a way through a node or a flow. */
export interface Trace {
  nodes: Set<string>;
  flows: Set<MapFlow>;
}

/** trace follows all paths through a node, or through a flow. */
export function trace(flows: MapFlow[], through: { node?: string; flow?: MapFlow }): Trace {
  const paths = new Set<string>();
  const near = through.flow ? [through.flow] : flows.filter((f) => f.from === through.node || f.to === through.node);
  for (const f of near) for (const p of f.paths ?? []) if (through.flow || p.split(' ').includes(through.node ?? '')) paths.add(p);
  const out: Trace = { nodes: new Set(), flows: new Set(near) };
  for (const f of flows) if (f.paths?.some((p) => paths.has(p))) out.flows.add(f);
  for (const f of out.flows) {
    out.nodes.add(f.from);
    out.nodes.add(f.to);
  }
  if (through.node) out.nodes.add(through.node);
  return out;
}
