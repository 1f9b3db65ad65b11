import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';
import type { ReactNode } from 'react';
import type { Association, Partial, State, Verdict } from '../api/types';
import { Code } from './code';

export function Loading({ what }: { what: string }) {
  return (
    <Box textAlign="center" padding="xxl" color="text-status-inactive">
      <Spinner /> Loading {what}
    </Box>
  );
}

/** Told is what an error says. Of a refusal by RBAC an empty line parts the words from the objects that would end it. */
export function Told({ message }: { message: string }) {
  const [words, ...objects] = message.split('\n\n');
  if (!objects.length) return message;
  return (
    <SpaceBetween size="xs">
      <span className="words">{words}</span>
      <Code text={objects.join('\n\n')} label="What to apply" file="podid-rbac.yaml" />
    </SpaceBetween>
  );
}

interface TroubleProps {
  title: string;
  error: { message: string; requestId?: string };
  retry?: () => void;
  /** page: there is nothing else on the page, and the title is its heading. */
  page?: boolean;
}

/** Trouble is an error in place of what was asked for. */
export function Trouble({ title, error, retry, page }: TroubleProps) {
  return (
    <Alert type="error" header={page ? <h1 className="plain">{title}</h1> : title} action={retry && <Button formAction="none" onClick={retry}>Retry</Button>}>
      <Told message={error.message} />
      {error.requestId && (
        <Box variant="small" display="block">
          Request id {error.requestId}
        </Box>
      )}
    </Alert>
  );
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <Box textAlign="center" margin={{ vertical: 'xs' }} color="inherit">
      <SpaceBetween size="xs">
        <b>{title}</b>
        {children && (
          <Box variant="p" color="inherit">
            {children}
          </Box>
        )}
        {action}
      </SpaceBetween>
    </Box>
  );
}

const states: Record<State, [StatusIndicatorProps.Type, string]> = {
  working: ['success', 'Working'],
  failing: ['error', 'Failing'],
  'not-ready': ['pending', 'Not ready'],
  unknown: ['info', 'Not tried yet'],
};

export const stateNames = Object.entries(states).map(([value, [, label]]) => ({ value, label }));

export function StateOf({ of }: { of: Association }) {
  const [type, text] = states[of.state];
  return <StatusIndicator type={type}>{text}</StatusIndicator>;
}

const verdicts: Record<Verdict, [StatusIndicatorProps.Type, string]> = {
  allowed: ['success', 'Allowed'],
  refused: ['error', 'Refused'],
  unknown: ['warning', 'Not known'],
};

export function VerdictOf({ of }: { of: Verdict }) {
  const [type, text] = verdicts[of];
  return <StatusIndicator type={type}>{text}</StatusIndicator>;
}

export function OutcomeOf({ of }: { of: string }) {
  return of === 'granted' ? <StatusIndicator type="success">Granted</StatusIndicator> : <StatusIndicator type="error">{of === 'refused' ? 'Refused' : of}</StatusIndicator>;
}

/** Missing names the replicas that could not be asked. */
export function Missing({ parts }: { parts?: Partial[] }) {
  if (!parts?.length) return null;
  return (
    <Alert type="warning" header="Not all of podid could be asked">
      {parts.map((p) => (
        <div key={p.source}>
          {p.source}: {p.reason}
        </div>
      ))}
    </Alert>
  );
}
