import type { Chain, ChainArrow, ChainNode, Verdict } from '../api/types';
import { count, middle, span } from '../words';

// The picture's measures, in the units of its viewBox: pixels at full width.
const nodeWidth = 214;
const nodeHeight = 78;
const gap = 186;
const side = 18; // from an account's box to its nodes
const top = 34; // for the account's name
const foot = 16;

const kinds: Record<string, string> = { pod: 'Pod', podIdentityRole: 'Pod Identity role', targetRole: 'Target role', resource: 'Resource' };
const verdictWords: Record<Verdict, string> = { allowed: 'allowed', refused: 'refused', unknown: 'not known' };

/** ChainPicture draws the way from the pod to its credentials. onStep is called with the step of an arrow. */
export function ChainPicture({ chain, onStep }: { chain: Chain; onStep?: (step: string) => void }) {
  const x = (i: number) => side + i * (nodeWidth + gap);
  const width = x(chain.nodes.length - 1) + nodeWidth + side;
  const height = top + nodeHeight + foot + 62;
  const index = new Map(chain.nodes.map((n, i) => [n.id, i]));
  const summary = chain.arrows.map((a) => `${nameOf(chain, a.from)} to ${nameOf(chain, a.to)}: ${verdictWords[a.verdict]}`).join('. ');
  return (
    <div className="picture">
      <svg viewBox={`0 0 ${width} ${height}`} role="group" aria-label={`The chain. ${summary}`} style={{ minWidth: Math.min(width, 760), maxWidth: width * 1.15 }}>
        {boxes(chain).filter((box) => box.account || box.pod).map((box) => (
          <g key={`${box.account} ${box.from}`}>
            <rect className="account" x={x(box.from) - side} y={1} width={x(box.to) + nodeWidth + side * 2 - x(box.from)} height={top + nodeHeight + foot} rx={12} />
            <text className="caption" x={x(box.from)} y={22}>
              {box.account ? `Account ${box.account}` : 'Kubernetes'}
              {box.name && <tspan className="faint"> {middle(box.name, 13 + 34 * (box.to - box.from))}</tspan>}
            </text>
          </g>
        ))}
        {chain.arrows.map((arrow) => {
          const from = index.get(arrow.from);
          const to = index.get(arrow.to);
          if (from === undefined || to === undefined) return null;
          return <Arrow key={arrow.step} arrow={arrow} from={x(from) + nodeWidth} to={x(to)} onStep={onStep} />;
        })}
        {chain.nodes.map((node, i) => (
          <Node key={node.id} node={node} x={x(i)} />
        ))}
      </svg>
    </div>
  );
}

function nameOf(chain: Chain, id: string): string {
  const node = chain.nodes.find((n) => n.id === id);
  return node ? `${kinds[node.kind] ?? node.kind} ${node.label}` : id;
}

interface Box {
  account: string; // "": the cluster, of a pod; or not known
  name?: string;
  pod: boolean;
  from: number;
  to: number;
}

/** boxes are runs of neighbours in one account. */
function boxes(chain: Chain): Box[] {
  const out: Box[] = [];
  chain.nodes.forEach((node, i) => {
    const account = node.account ?? '';
    const last = out.at(-1);
    if (last && account && last.account === account) last.to = i;
    else out.push({ account, name: chain.accounts.find((a) => a.id === account)?.name, pod: node.kind === 'pod', from: i, to: i });
  });
  return out;
}

function Node({ node, x }: { node: ChainNode; x: number }) {
  const [first, second] = twoLines(node.label);
  return (
    <g className="node">
      <title>{node.arn ?? node.label}</title>
      <rect x={x} y={top} width={nodeWidth} height={nodeHeight} rx={8} />
      <svg x={x + 12} y={top + 12} width={18} height={18} viewBox="0 0 18 18" className={node.kind} aria-hidden>
        {icons[node.kind]}
      </svg>
      <text className="kind" x={x + 36} y={top + 26}>
        {kinds[node.kind] ?? node.kind}
      </text>
      <text className="name" x={x + 12} y={second ? top + 48 : top + 54}>
        {first}
      </text>
      {second && (
        <text className="name" x={x + 12} y={top + 65}>
          {second}
        </text>
      )}
    </g>
  );
}

/** twoLines breaks a name where it may be broken. */
function twoLines(text: string): [string, string?] {
  const most = 27;
  if (text.length <= most) return [text];
  const at = Math.max(...['-', '/', '.', '_', ':'].map((mark) => text.lastIndexOf(mark, most - 1)));
  const cut = at > most / 3 ? at + 1 : most;
  return [text.slice(0, cut), middle(text.slice(cut), most)];
}

const icons: Record<string, React.ReactNode> = {
  pod: <path d="M9 1.5 15.5 5v8L9 16.5 2.5 13V5zM2.5 5 9 8.6 15.5 5M9 8.6v7.9" />,
  podIdentityRole: <path d="M9 1.5 15 4v5c0 4-3 6.3-6 7.5C6 15.3 3 13 3 9V4zM6.2 8.7l2 2 3.6-3.8" />,
  targetRole: <path d="M9 1.5a7.5 7.5 0 1 1 0 15 7.5 7.5 0 0 1 0-15zM9 5.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7z" />,
  resource: <path d="M2.5 4.5c0-1.7 2.9-3 6.5-3s6.5 1.3 6.5 3-2.9 3-6.5 3-6.5-1.3-6.5-3zM2.5 4.5 4.2 15c.3 1 2.3 1.7 4.8 1.7s4.5-.7 4.8-1.7l1.7-10.5" />,
};

function Arrow({ arrow, from, to, onStep }: { arrow: ChainArrow; from: number; to: number; onStep?: (step: string) => void }) {
  const y = top + nodeHeight / 2;
  const mid = (from + to) / 2;
  const lines = sent(arrow);
  const heard = `${labelOf(arrow)} ${verdictWords[arrow.verdict]}: ${lines.join(', ')}`;
  const act = onStep && {
    role: 'button',
    'aria-label': heard,
    tabIndex: 0,
    onClick: () => onStep(arrow.step),
    onKeyDown: (e: React.KeyboardEvent) => {
      if (e.key === 'Enter' || e.key === ' ') e.preventDefault();
    },
    // Not before: the step takes the focus, and would take the key's end for its own.
    onKeyUp: (e: React.KeyboardEvent) => {
      if (e.key === 'Enter' || e.key === ' ') onStep(arrow.step);
    },
  };
  return (
    <g className={`arrow ${arrow.verdict}`}>
      <title>{[arrow.label, ...lines, arrow.externalId && `external ID ${arrow.externalId}`, arrow.sessionName && `session name ${arrow.sessionName}`].filter(Boolean).join('\n')}</title>
      <line x1={from + 3} y1={y} x2={to - 11} y2={y} />
      <path d={`M${to - 12} ${y - 6} L${to - 2} ${y} L${to - 12} ${y + 6} z`} />
      <circle cx={mid} cy={y} r={12} />
      <path className="mark" d={marks[arrow.verdict]} transform={`translate(${mid} ${y})`} />
      <text className="label" x={mid} y={y - 22}>
        {middle(labelOf(arrow), 28)}
      </text>
      <text className="verdict" x={mid} y={y + 31}>
        {verdictWords[arrow.verdict]}
      </text>
      {lines.map((line, i) => (
        <text key={line} className="sent" x={mid} y={y + 66 + i * 16}>
          {middle(line, 44)}
        </text>
      ))}
      <rect className="hit" x={from + 4} y={top - 26} width={to - from - 8} height={nodeHeight + 118 - top} rx={6} {...act} />
    </g>
  );
}

const marks: Record<Verdict, string> = {
  allowed: 'M-5 0.5 L-1.5 4 L5 -3.5',
  refused: 'M-4 -4 L4 4 M4 -4 L-4 4',
  unknown: 'M-2.8 -2.2 C-2.8 -6 2.8 -6 2.8 -2.5 C2.8 0 0 0 0 2 M0 5 L0 5.2',
};

const labelOf = (arrow: ChainArrow) => (arrow.step.startsWith('hop-') ? `Hop ${arrow.step.slice(4)}: ${arrow.label}` : arrow.label);

/** sent is what the role assumption of an arrow sends, in lines. */
function sent(arrow: ChainArrow): string[] {
  const lines: string[] = [];
  if (arrow.tags?.length) lines.push(count(arrow.tags.length, 'session tag'));
  if (arrow.inheritedTags?.length) lines.push(`${count(arrow.inheritedTags.length, 'session tag')}, inherited`);
  if (arrow.externalId) lines.push(`external ID ${arrow.externalId}`);
  const rest = [arrow.durationSeconds ? span(arrow.durationSeconds) : '', arrow.sessionPolicy ? 'session policy' : ''].filter(Boolean).join(', ');
  if (rest) lines.push(rest);
  return lines;
}
