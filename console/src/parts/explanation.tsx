import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useEffect, useRef, useState } from 'react';
import type { ChainArrow, Explanation, Finding, Fix, Report, Statement, Step, Verdict } from '../api/types';
import { when } from '../words';
import { ChainPicture } from './chain';
import { Code } from './code';
import { VerdictOf } from './states';

const conclusions: Record<Verdict, ['success' | 'error' | 'warning', string]> = {
  allowed: ['success', 'Every step is allowed: pods get credentials.'],
  refused: ['error', 'A step is refused: pods get no credentials, or cannot do what they try.'],
  unknown: ['warning', 'Nothing refuses it, but not everything could be seen.'],
};

/** Explained is the chain as a picture, and under it why each step is allowed or not. */
export function Explained({ explanation }: { explanation: Explanation }) {
  const { report, chain } = explanation;
  const [open, setOpen] = useState<{ step: string }>();
  return (
    <SpaceBetween size="m">
      {chain.nodes.length > 0 && <ChainPicture chain={chain} onStep={report ? (step) => setOpen({ step }) : undefined} />}
      {explanation.unavailable && (
        <Alert type="info" header="There is no explanation">
          {explanation.unavailable}
        </Alert>
      )}
      {report && <Steps key={explanation.at} report={report} arrows={chain.arrows} open={open} at={explanation.at} />}
    </SpaceBetween>
  );
}

function Steps({ report, arrows, open, at }: { report: Report; arrows: ChainArrow[]; open?: { step: string }; at: string }) {
  const [type, text] = conclusions[report.verdict];
  return (
    <SpaceBetween size="s">
      <Alert type={type} header={text} statusIconAriaLabel={type}>
        {report.steps.filter((s) => s.verdict === 'refused').map((s) => <div key={s.name}>{titleOf(s)}</div>)}
        <Box variant="small">Explained {when(at)}</Box>
      </Alert>
      {report.live && (
        <Alert type={report.live.agrees ? 'info' : 'warning'} header={report.live.text}>
          {report.live.answer}
        </Alert>
      )}
      {report.steps.map((step) => (
        <StepOf key={step.name} step={step} arrow={arrows.find((a) => a.step === step.name)} wanted={open?.step === step.name ? open : undefined} />
      ))}
      {report.warnings?.map((w) => (
        <Alert key={w.where + w.text} type="warning" header={w.forecast ? 'It may be' : 'It works, and is dangerous'}>
          {w.text} <Box variant="small">{w.where}</Box>
        </Alert>
      ))}
      {report.unseen?.map((u) => (
        <Alert key={u.what} type="info" header={`Not seen: ${u.what}`}>
          {u.reason}. Without it nobody knows {u.without}.
        </Alert>
      ))}
    </SpaceBetween>
  );
}

function StepOf({ step, arrow, wanted }: { step: Step; arrow?: ChainArrow; wanted?: object }) {
  const [expanded, setExpanded] = useState(step.verdict === 'refused');
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!wanted) return;
    setExpanded(true);
    place.current?.scrollIntoView({ block: 'start', behavior: 'smooth' });
    place.current?.querySelector<HTMLElement>('[role="button"], button')?.focus({ preventScroll: true });
  }, [wanted]);
  const facts = (step.facts ?? []).map((f) => ({ label: f.name, value: <span className="mono">{f.value}</span> }));
  const tags = arrow?.tags ?? arrow?.inheritedTags;
  return (
    <div ref={place} className="step">
      <ExpandableSection
        expanded={expanded}
        onChange={({ detail }) => setExpanded(detail.expanded)}
        headerText={titleOf(step)}
        headerActions={<VerdictOf of={step.verdict} />}
        headingTagOverride="h3"
      >
        <SpaceBetween size="m">
          {step.findings?.map((f, i) => (
            <FindingOf key={i} finding={f} />
          ))}
          {step.fixes?.map((f, i) => (
            <FixOf key={i} fix={f} number={step.fixes && step.fixes.length > 1 ? i + 1 : undefined} />
          ))}
          {facts.length > 0 && <KeyValuePairs columns={Math.min(3, facts.length)} items={facts} />}
          {tags && tags.length > 0 && (
            <ExpandableSection headerText={arrow?.tags?.length ? 'Session tags sent' : 'Session tags inherited'}>
              <KeyValuePairs columns={3} items={tags.map((t) => ({ label: t.key, value: <span className="mono">{t.value}</span> }))} />
            </ExpandableSection>
          )}
        </SpaceBetween>
      </ExpandableSection>
    </div>
  );
}

/** titleOf is a step's title with the names of roles in place of their ARNs, which are in its facts. */
function titleOf(step: Step): string {
  return step.title.replace(/arn:[^:\s]*:iam::(\d+):role\/(\S+)/g, '$2');
}

function FindingOf({ finding }: { finding: Finding }) {
  return (
    <SpaceBetween size="xs">
      <div>
        <StatusIndicator type={finding.verdict === 'allowed' ? 'success' : finding.verdict === 'refused' ? 'error' : 'warning'} wrapText>
          {finding.action && <b>{finding.action}: </b>}
          {finding.text}
        </StatusIndicator>
      </div>
      {finding.statements?.map((s, i) => (
        <StatementOf key={i} statement={s} />
      ))}
    </SpaceBetween>
  );
}

function StatementOf({ statement: s }: { statement: Statement }) {
  return (
    <div className="statement">
      <Box variant="small">
        {s.policy}, statement {s.statement}
        {s.sid && ` (${s.sid})`}, line {s.line}: {s.effect}, {s.matched ? 'matches' : 'does not match'}
      </Box>
      {s.misses && s.misses.length > 0 && (
        <table className="misses">
          <thead>
            <tr>
              <th scope="col">Element</th>
              <th scope="col">Wanted</th>
              <th scope="col">Got</th>
            </tr>
          </thead>
          <tbody>
            {s.misses.map((m, i) => (
              <tr key={i}>
                <th scope="row">
                  {[m.element, m.operator].filter(Boolean).join(' ')}
                  {m.key && <div className="mono">{m.key}</div>}
                </th>
                <td className="mono wanted">{(m.wanted ?? []).join(', ')}</td>
                <td className="mono got">
                  {m.absent ? 'nothing: it is not in the request' : (m.got ?? []).join(', ')}
                  {m.hint && <div className="hint">{m.hint}</div>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

function FixOf({ fix, number }: { fix: Fix; number?: number }) {
  const commands = fix.commands?.join('\n');
  return (
    <Alert type="info" header={number ? `Fix ${number}: ${fix.text}` : `Fix: ${fix.text}`}>
      <SpaceBetween size="xs">
        <div>
          In account <b>{fix.account}</b>
          {fix.owner && <>, by {fix.owner}</>}
          {fix.document && <>: {fix.document}</>}
        </div>
        {fix.diff && <Code text={fix.diff} kind="diff" label={`What changes in ${fix.document ?? 'the policy'}`} heading="What changes" />}
        {commands && <Code text={commands} label={`Commands that change ${fix.document ?? 'the policy'}`} heading="Commands" file="fix.sh" />}
      </SpaceBetween>
    </Alert>
  );
}
