import Alert, { type AlertProps } from '@cloudscape-design/components/alert';
import AttributeEditor from '@cloudscape-design/components/attribute-editor';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import Form from '@cloudscape-design/components/form';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Textarea from '@cloudscape-design/components/textarea';
import Toggle from '@cloudscape-design/components/toggle';
import { useEffect, useRef, useState, type Ref } from 'react';
import { at, call, get } from '../api/client';
import type { Association, AssociationDetail, AssociationInput, Names, Preview, Role, Roles, ServiceAccounts } from '../api/types';
import { Explained } from '../parts/explanation';
import { PoliciesOf } from '../parts/policies';
import { Loading, Told, Trouble } from '../parts/states';
import { Suggest } from '../parts/suggest';
import { go, to } from '../route';
import { useShell } from '../shell';
import { failure, useLoad } from '../use';
import { count } from '../words';

/** Draft is an association as it is typed. */
interface Draft {
  cluster: string;
  namespace: string;
  serviceAccount: string;
  roleArn: string;
  targetRoleArn: string;
  disableSessionTags: boolean;
  policy: string;
  tags: { key: string; value: string }[];
}

/** Edit makes an association, or changes the one with the id. */
export default function Edit({ id, from }: { id?: string; from?: URLSearchParams }) {
  const { session } = useShell();
  const detail = useLoad(id, (signal) => get<AssociationDetail>(at(id ?? ''), {}, signal));
  if (session.readOnly) return <Trouble page title="The console is read-only" error={{ message: 'Whoever runs it has turned changes off. Use kubectl or the AWS CLI.' }} />;
  if (!id) {
    const given = (name: string) => from?.get(name) ?? '';
    const cluster = given('cluster') || (session.clusters[0]?.name ?? '');
    return <Fields start={{ cluster, namespace: given('namespace'), serviceAccount: given('serviceAccount'), roleArn: given('roleArn'), targetRoleArn: given('targetRoleArn'), disableSessionTags: false, policy: '', tags: [] }} />;
  }
  const a = detail.data;
  if (!a) return detail.error ? <Trouble page title="The association could not be had" error={detail.error} retry={detail.reload} /> : <Loading what="the association" />;
  return (
    <Fields
      of={a}
      start={{
        cluster: a.cluster,
        namespace: a.namespace,
        serviceAccount: a.serviceAccount,
        roleArn: a.roleArn,
        targetRoleArn: a.targetRoleArn ?? '',
        disableSessionTags: a.disableSessionTags,
        policy: a.policy ?? '',
        tags: Object.entries(a.tags ?? {}).map(([key, value]) => ({ key, value })),
      }}
    />
  );
}

function inputOf(d: Draft, of?: Association): AssociationInput {
  const tags = d.tags.filter((t) => t.key);
  return {
    ...d,
    roleArn: d.roleArn.trim(),
    targetRoleArn: d.targetRoleArn.trim() || undefined,
    policy: d.policy.trim() || undefined,
    tags: tags.length ? Object.fromEntries(tags.map((t) => [t.key, t.value])) : undefined,
    version: of?.version,
  };
}

/** wrongTags says why tags cannot be saved as they are typed, which the API would not see. */
function wrongTags(tags: Draft['tags']): string | undefined {
  const keys = tags.map((t) => t.key);
  const twice = keys.find((key, i) => key && keys.indexOf(key) !== i);
  if (twice) return `The key ${twice} is there twice.`;
  return tags.some((t) => !t.key && t.value) ? 'A value has no key.' : undefined;
}

function Fields({ of, start }: { of?: Association; start: Draft }) {
  const { session, notify } = useShell();
  const [draft, setDraft] = useState(start);
  const [touched, setTouched] = useState<Record<string, boolean>>(of ? { roleArn: true, targetRoleArn: true } : {});
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<{ message: string; field?: string }>();
  const input = inputOf(draft, of);
  const complete = Boolean(draft.namespace && draft.serviceAccount && draft.roleArn.trim());
  const preview = useLoad(
    complete ? JSON.stringify(input) : undefined,
    (signal) => call<Preview>('POST', '/preview', { body: { id: of?.id, association: input }, signal }),
    350,
  );
  const set = (change: Partial<Draft>) => {
    setProblem(undefined);
    setDraft((old) => ({ ...old, ...change }));
  };
  const leave = (field: string) => () => setTouched((old) => ({ ...old, [field]: true }));
  // An association that nobody has changed cannot be saved, and that is no problem.
  const changed = !of || JSON.stringify(draft) !== JSON.stringify(start);
  const problems = changed ? (preview.data?.problems ?? []) : [];
  const errorOf = (field: string) => {
    if (problem?.field === field) return problem.message;
    return touched[field] ? problems.find((p) => p.field === field)?.message : undefined;
  };
  // What the preview has told already is not told twice.
  const refused = problem && !problem.field && !problems.some((p) => p.message === problem.message) ? [problem] : [];
  const told = useRef<AlertProps.Ref>(null);
  useEffect(() => {
    if (problem && !problem.field) told.current?.focus(); // it may be out of sight
  }, [problem]);
  const cluster = session.clusters.find((c) => c.name === draft.cluster);
  const back = of ? to(['associations', of.id]) : to(['associations']);

  const save = async () => {
    setTouched({ namespace: true, serviceAccount: true, roleArn: true, targetRoleArn: true, policy: true, tags: true });
    if (!complete) {
      setProblem({ message: 'Namespace, service account and Pod Identity role are required.' });
      return;
    }
    const wrong = wrongTags(draft.tags);
    if (wrong) {
      setProblem({ field: 'tags', message: wrong });
      return;
    }
    setBusy(true);
    try {
      const saved = await (of ? call<Association>('PUT', at(of.id), { body: input }) : call<Association>('POST', '/associations', { body: input }));
      notify('success', `The association of ${saved.namespace}/${saved.serviceAccount} is ${of ? 'saved' : 'created'}.`);
      go(to(['associations', saved.id]));
    } catch (error) {
      setProblem(failure(error));
      setBusy(false);
    }
  };

  return (
    <ContentLayout header={<Header variant="h1" description="Pods of the service account get credentials of the target role, or of the Pod Identity role where there is none.">{of ? 'Edit association' : 'Create association'}</Header>}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void save();
        }}
      >
        <Form>
          <SpaceBetween size="l">
            <Container header={<Header variant="h2">Service account</Header>}>
              <SpaceBetween size="l">
                {session.clusters.length > 1 && (
                  <FormField label="Cluster">
                    <Select
                      disabled={Boolean(of)}
                      selectedOption={{ value: draft.cluster, label: draft.cluster }}
                      options={session.clusters.map((c) => ({ value: c.name, label: c.name, description: `${c.accountId} · ${c.region}` }))}
                      onChange={({ detail }) => set({ cluster: detail.selectedOption.value ?? '' })}
                    />
                  </FormField>
                )}
                <FormField label="Namespace" errorText={errorOf('namespace')}>
                  <Suggest
                    value={draft.namespace}
                    onChange={(namespace) => set({ namespace })}
                    onBlur={leave('namespace')}
                    askKey={draft.cluster}
                    ask={async (q, signal) => (await get<Names>('/namespaces', { q, cluster: draft.cluster }, signal)).items.map((value) => ({ value }))}
                    placeholder="default"
                    empty="No namespace is known"
                    disabled={Boolean(of)}
                    ariaRequired
                  />
                </FormField>
                <FormField label="Service account" description={of ? undefined : 'It need not exist yet.'} errorText={errorOf('serviceAccount')}>
                  <Suggest
                    value={draft.serviceAccount}
                    onChange={(serviceAccount) => set({ serviceAccount })}
                    onBlur={leave('serviceAccount')}
                    askKey={`${draft.cluster} ${draft.namespace}`}
                    ask={async (q, signal) =>
                      (await get<ServiceAccounts>('/serviceaccounts', { q, cluster: draft.cluster, namespace: draft.namespace }, signal)).items.map((s) => ({
                        value: s.name,
                        description: draft.namespace ? undefined : s.namespace,
                        tags: s.associationId ? ['has an association'] : undefined,
                      }))
                    }
                    placeholder="my-app"
                    empty="No service account is known"
                    disabled={Boolean(of)}
                    ariaRequired
                  />
                </FormField>
              </SpaceBetween>
            </Container>
            <Container header={<Header variant="h2">Roles</Header>}>
              <SpaceBetween size="l">
                <FormField label="Pod Identity role" description={`ARN of an IAM role of the cluster's own account${cluster ? `, ${cluster.accountId}` : ''}.`} errorText={errorOf('roleArn')}>
                  <Suggest
                    value={draft.roleArn}
                    onChange={(roleArn) => set({ roleArn })}
                    onBlur={leave('roleArn')}
                    askKey={cluster?.accountId ?? ''}
                    ask={roles(cluster?.accountId, 'podIdentityRoleOf')}
                    placeholder={`arn:aws:iam::${cluster?.accountId ?? '111122223333'}:role/name`}
                    empty="No role is known"
                    ariaRequired
                  />
                </FormField>
                <FormField label={<>Target role <i>- optional</i></>} description="ARN of an IAM role of any account; its credentials reach the pod." errorText={errorOf('targetRoleArn')}>
                  <Suggest
                    value={draft.targetRoleArn}
                    onChange={(targetRoleArn) => set({ targetRoleArn })}
                    onBlur={leave('targetRoleArn')}
                    askKey="any"
                    ask={roles(undefined, 'targetRoleOf')}
                    placeholder="arn:aws:iam::444455556666:role/name"
                    empty="No role is known"
                  />
                </FormField>
                <Toggle checked={!draft.disableSessionTags} onChange={({ detail }) => set({ disableSessionTags: !detail.checked })} description="Cluster, namespace, service account and pod, for conditions in policies.">
                  Send session tags
                </Toggle>
                <ExpandableSection headerText="Session policy and tags" defaultExpanded={Boolean(draft.policy || draft.tags.length)}>
                  <SpaceBetween size="l">
                    <FormField label={<>Session policy <i>- optional</i></>} description="IAM policy that narrows the role whose credentials reach the pod. AWS takes it only with session tags off." errorText={errorOf('policy')} stretch>
                      <Textarea value={draft.policy} onChange={({ detail }) => set({ policy: detail.value })} onBlur={leave('policy')} rows={8} spellcheck={false} placeholder='{"Version": "2012-10-17", "Statement": [...]}' />
                    </FormField>
                    <FormField label={<>Tags <i>- optional</i></>} description="Of the association itself; pods do not get them." errorText={errorOf('tags')} stretch>
                      <AttributeEditor
                        items={draft.tags}
                        addButtonText="Add tag"
                        removeButtonText="Remove"
                        removeButtonAriaLabel={(tag) => `Remove tag ${tag.key}`}
                        disableAddButton={draft.tags.length >= 50}
                        onAddButtonClick={() => set({ tags: [...draft.tags, { key: '', value: '' }] })}
                        onRemoveButtonClick={({ detail }) => set({ tags: draft.tags.filter((_, i) => i !== detail.itemIndex) })}
                        empty="No tags"
                        definition={(['key', 'value'] as const).map((part) => ({
                          label: part === 'key' ? 'Key' : 'Value',
                          control: (tag: { key: string; value: string }, i: number) => (
                            <Input value={tag[part]} onChange={({ detail }) => set({ tags: draft.tags.map((t, n) => (n === i ? { ...t, [part]: detail.value } : t)) })} />
                          ),
                        }))}
                      />
                    </FormField>
                  </SpaceBetween>
                </ExpandableSection>
              </SpaceBetween>
            </Container>
            <Coming complete={complete} problems={[...problems, ...refused]} told={told} preview={preview.data} loading={preview.loading} error={preview.error} retry={preview.reload} editing={Boolean(of)} />
          </SpaceBetween>
        </Form>
        {/* In sight however long the policies are. */}
        <div className="actions">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" href={back}>
              Cancel
            </Button>
            <Button variant="primary" formAction="submit" loading={busy} disabled={!changed} disabledReason="Nothing is changed">
              {of ? 'Save changes' : 'Create association'}
            </Button>
          </SpaceBetween>
        </div>
      </form>
    </ContentLayout>
  );
}

/** roles offers roles, of an account if one is given, the most used first. */
function roles(account: string | undefined, uses: 'podIdentityRoleOf' | 'targetRoleOf') {
  return async (q: string, signal: AbortSignal) =>
    (await get<Roles>('/roles', { q, account }, signal)).items
      .toSorted((a, b) => b[uses] - a[uses])
      .map((r: Role) => ({ value: r.arn, description: r.description, tags: [r[uses] ? `of ${count(r[uses], 'association')}` : ''].filter(Boolean) }));
}

interface ComingProps {
  complete: boolean;
  problems: { message: string }[];
  told: Ref<AlertProps.Ref>;
  preview?: Preview;
  loading: boolean;
  error?: { message: string };
  retry: () => void;
  editing: boolean;
}

/** Coming is what would come of saving. */
function Coming({ complete, problems, told, preview, loading, error, retry, editing }: ComingProps) {
  return (
    <SpaceBetween size="l">
      <Container
        header={
          <Header variant="h2" description="Nothing is saved yet." info={loading && preview && <StatusIndicator type="loading">Looking again</StatusIndicator>}>
            What pods will get
          </Header>
        }
      >
        <SpaceBetween size="m">
          {!complete && <Box color="text-status-inactive">Name a service account and a Pod Identity role: the chain is explained here before you {editing ? 'save' : 'create'} it.</Box>}
          {complete && error && <Trouble title="It could not be looked at" error={error} retry={retry} />}
          {complete && !preview && loading && <Loading what="the explanation" />}
          {problems.length > 0 && (
            <Alert ref={told} type="error" header={`It cannot be ${editing ? 'saved' : 'created'} like this`}>
              <ul className="plain">
                {problems.map((p) => (
                  <li key={p.message}>
                    <Told message={p.message} />
                  </li>
                ))}
              </ul>
            </Alert>
          )}
          {(preview?.warnings ?? []).map((w) => (
            <Alert key={w} type="warning">
              {w}
            </Alert>
          ))}
          {preview?.explanation && <Explained explanation={preview.explanation} />}
        </SpaceBetween>
      </Container>
      {preview?.policies && (
        <Container header={<Header variant="h2" description="Put these into each account. Roles that have them already need no change.">Policies for each account</Header>}>
          <PoliciesOf policies={preview.policies} />
        </Container>
      )}
    </SpaceBetween>
  );
}
