import { useMemo, useRef, useState } from 'react';
import type { Map as Flows, MapFlow, MapNode } from '../api/types';
import { count, middle } from '../words';
import { area, layout, nodeWidth, trace, width, type Placed } from './flows';

interface Props {
  flows: Flows;
  onNode: (node: MapNode) => void;
  onFlow: (flow: MapFlow) => void;
}

const kinds: Record<string, string> = { namespace: 'Namespace', serviceAccount: 'Service account', role: 'Role', account: 'Account', gathered: 'choose it to draw them all' };

/**
 * FlowPicture draws flows between columns of nodes. What is pointed at, or has
 * the focus, is traced. One node is in the order of Tab; arrow keys go to the others.
 */
export function FlowPicture({ flows, onNode, onFlow }: Props) {
  const drawn = useMemo(() => layout(flows), [flows]);
  const [over, setOver] = useState<{ node?: string; flow?: MapFlow }>();
  const [current, setCurrent] = useState<string>();
  const svg = useRef<SVGSVGElement>(null);
  const traced = useMemo(() => (over ? trace(flows.flows, over) : undefined), [flows, over]);
  const first = drawn.columns[0]?.[0]?.node.id;
  const stop = drawn.nodes.some((p) => p.node.id === current) ? current : first;

  const move = (p: Placed, key: string) => {
    const c = drawn.columns.findIndex((column) => column.includes(p));
    const column = drawn.columns[c] ?? [];
    const i = column.indexOf(p);
    const nearest = (other?: Placed[]) => other?.toSorted((a, b) => Math.abs(a.y - p.y) - Math.abs(b.y - p.y))[0];
    const next = { ArrowDown: column[i + 1], ArrowUp: column[i - 1], Home: column[0], End: column.at(-1), ArrowLeft: nearest(drawn.columns[c - 1]), ArrowRight: nearest(drawn.columns[c + 1]) }[key];
    if (!next) return;
    setCurrent(next.node.id);
    svg.current?.querySelector<SVGGElement>(`[data-node="${CSS.escape(next.node.id)}"]`)?.focus();
  };

  return (
    <div className="picture flows" onMouseLeave={() => setOver(undefined)}>
      <svg ref={svg} viewBox={`0 0 ${width} ${drawn.height}`} role="group" aria-label="Who can reach what. Arrow keys go from one to the next." className={traced ? 'tracing' : undefined} style={{ minWidth: 860, maxWidth: 1500 }}>
        {drawn.ribbons.map((r) => (
          <g key={`${r.flow.from} ${r.flow.to}`} className={`flow${traced?.flows.has(r.flow) ? ' on' : ''}`} onMouseEnter={() => setOver({ flow: r.flow })} onClick={() => onFlow(r.flow)}>
            <path d={area(r)} />
            {r.flow.failing > 0 && <path className="failing" d={area(r, r.flow.failing / r.flow.associations)} />}
            <title>{`${r.from.node.label} → ${r.to.node.label}\n${count(r.flow.associations, 'association')}${r.flow.failing ? `, ${r.flow.failing} failing` : ''}`}</title>
          </g>
        ))}
        {drawn.groups.map((g) => (
          <text key={`${g.x} ${g.label} ${g.y}`} className="group" {...besides(g.side, g.x)} y={g.y}>
            {middle(g.label, 30)}
          </text>
        ))}
        {drawn.nodes.map((p) => (
          <g
            key={p.node.id}
            data-node={p.node.id}
            className={`station of-${p.node.kind}${traced?.nodes.has(p.node.id) ? ' on' : ''}`}
            role="button"
            tabIndex={p.node.id === stop ? 0 : -1}
            aria-label={heard(p)}
            onMouseEnter={() => setOver({ node: p.node.id })}
            onFocus={() => {
              setCurrent(p.node.id);
              setOver({ node: p.node.id });
            }}
            onBlur={() => setOver(undefined)}
            onClick={() => onNode(p.node)}
            onKeyDown={(e) => {
              if (e.key === 'Enter' || e.key === ' ') onNode(p.node);
              else if (/^(Arrow|Home|End)/.test(e.key)) move(p, e.key);
              else return;
              e.preventDefault();
            }}
          >
            <title>{p.node.arn ?? p.node.label}</title>
            <rect className="hit" x={p.side === 'left' ? p.x - 240 : p.x} y={p.y} width={p.side === 'middle' ? 200 : 250} height={p.height} />
            <rect x={p.x} y={p.y} width={nodeWidth} height={p.height} rx={2} />
            <text {...besides(p.side, p.x)} y={p.y + p.height / 2 + 4}>
              {seen(p)}
              {p.node.associations > 1 && <tspan className="faint"> {p.node.associations.toLocaleString('en')}</tspan>}
            </text>
          </g>
        ))}
      </svg>
    </div>
  );
}

const seen = (p: Placed) => middle(p.node.label, p.side === 'middle' ? 26 : 30);

/** heard is what is seen, and what its place says. */
function heard(p: Placed): string {
  const { node } = p;
  const what = `${kinds[node.kind] ?? node.kind}${node.parent ? ` of ${node.parent}` : ''}`;
  const full = seen(p) === node.label ? '' : ` ${node.label}`;
  return `${seen(p)}${node.associations > 1 ? ` ${node.associations.toLocaleString('en')}` : ''} ${node.associations === 1 ? 'association' : 'associations'}, ${what}${full}`;
}

/** besides is where the text of a node is. */
function besides(side: Placed['side'], x: number) {
  return side === 'left' ? { x: x - 8, textAnchor: 'end' as const } : { x: x + nodeWidth + 8, textAnchor: 'start' as const };
}
