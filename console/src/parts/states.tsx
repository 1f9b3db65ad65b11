import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';
import type { ReactNode } from 'react';
import type { Association, Partial, State, Verdict } from '../api/types';

export function Loading({ what }: { what: string }) {
  return (
    <Box textAlign="center" padding="xxl" color="text-status-inactive">
      <Spinner /> Loading {what}
    </Box>
  );
}

/** Trouble is an error in place of what was asked for. */
export function Trouble({ title, error, retry }: { title: string; error: { message: string; requestId?: string }; retry?: () => void }) {
  return (
    <Alert type="error" header={title} action={retry && <Button formAction="none" onClick={retry}>Retry</Button>}>
      {error.message}
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
