import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import { at, call, get, type Query } from '../api/client';
import type { Association, Deletion } from '../api/types';
import { failure, useLoad } from '../use';
import { count, when } from '../words';
import { Loading, Told, Trouble } from './states';

interface Props {
  association: Association;
  onCancel: () => void;
  onDeleted: () => void;
}

/** Delete says what deleting an association would do, and does it. */
export function Delete({ association: a, onCancel, onDeleted }: Props) {
  const deletion = useLoad(a.id, (signal) => get<Deletion>(at(a.id, 'deletion'), {}, signal));
  const [typed, setTyped] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const pods = deletion.data?.pods;
  const used = (pods?.total ?? 0) > 0;
  const name = `${a.namespace}/${a.serviceAccount}`;
  const remove = async () => {
    setBusy(true);
    try {
      await call('DELETE', at(a.id), { query: { version: a.version } as Query });
      onDeleted();
    } catch (error) {
      setProblem(failure(error).message);
      setBusy(false);
    }
  };
  return (
    <Modal
      visible
      onDismiss={onCancel}
      header="Delete association?"
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={onCancel}>
              Cancel
            </Button>
            <Button variant="primary" loading={busy} disabled={!deletion.data || (used && typed !== 'delete')} onClick={() => void remove()}>
              Delete
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <div>
          The association of the service account <b>{name}</b> in cluster <b>{a.cluster}</b> will be deleted.
        </div>
        {deletion.error && <Trouble title="What it would do is not known" error={deletion.error} retry={deletion.reload} />}
        {!deletion.data && deletion.loading && <Loading what="what it would do" />}
        {deletion.data && (
          <Alert type={used ? 'warning' : 'info'} header={used ? `${count(pods?.total ?? 0, 'pod')} ${pods?.total === 1 ? 'uses' : 'use'} it now` : pods?.known ? 'No pod uses it now' : 'No pod is known to use it now'}>
            <ul className="plain">
              {(deletion.data.consequences ?? []).map((c) => (
                <li key={c}>{c}</li>
              ))}
              {deletion.data.credentialsUntil && <li>Credentials that pods have already may work until {when(deletion.data.credentialsUntil)}.</li>}
            </ul>
          </Alert>
        )}
        {used && (
          <FormField label={<>To confirm, type <i>delete</i></>}>
            <Input value={typed} onChange={({ detail }) => setTyped(detail.value)} placeholder="delete" autoComplete={false} />
          </FormField>
        )}
        {problem && (
          <Alert type="error" header="It was not deleted">
            <Told message={problem} />
          </Alert>
        )}
      </SpaceBetween>
    </Modal>
  );
}
