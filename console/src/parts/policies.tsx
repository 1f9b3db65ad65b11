import Box from '@cloudscape-design/components/box';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import Toggle from '@cloudscape-design/components/toggle';
import { useState } from 'react';
import type { Policies, Policy, PolicyForm } from '../api/types';
import { roleName } from '../words';
import { Code } from './code';

const formNames: Record<string, string> = { tags: 'By session tags', 'external-id': 'By external ID' };
const formTexts: Record<string, string> = {
  tags: 'The target role trusts those session tags of cluster, namespace and service account.',
  'external-id': 'The target role trusts the external ID, which names cluster, namespace and service account. It also works with session tags off.',
};

/** PoliciesOf are the policies to put into each account, in each form. */
export function PoliciesOf({ policies }: { policies: Policies }) {
  const recommended = policies.forms.find((f) => f.recommended) ?? policies.forms[0];
  const [chosen, setChosen] = useState<string>();
  const form = policies.forms.find((f) => f.form === chosen) ?? recommended;
  if (!form) return <Box color="text-status-inactive">There are no policies to show.</Box>;
  const twoRoles = form.policies.length > 1;
  return (
    <SpaceBetween size="m">
      {policies.forms.length > 1 && twoRoles && (
        <SpaceBetween size="xs">
          <SegmentedControl
            label="How the target role knows this association"
            selectedId={form.form}
            onChange={({ detail }) => setChosen(detail.selectedId)}
            options={policies.forms.map((f) => ({ id: f.form, text: (formNames[f.form] ?? f.form) + (f.recommended ? ' (recommended)' : '') }))}
          />
          <Box color="text-body-secondary">{formTexts[form.form]}</Box>
        </SpaceBetween>
      )}
      <Tabs
        ariaLabel="Policies as"
        tabs={[
          { id: 'json', label: 'JSON', content: <Accounts form={form} /> },
          { id: 'cli', label: 'AWS CLI', content: <Script key="cli" anew={form.commands} existing={form.commandsExisting} what="AWS CLI commands" file="policies.sh" /> },
          { id: 'terraform', label: 'Terraform', content: <Script key="tf" anew={form.terraform} existing={form.terraformExisting} what="Terraform configuration" file="policies.tf" /> },
        ]}
      />
    </SpaceBetween>
  );
}

function Accounts({ form }: { form: PolicyForm }) {
  const accounts = [...new Set(form.policies.map((p) => p.account))];
  return (
    <SpaceBetween size="m">
      {accounts.map((account) => (
        <Container key={account} header={<Header variant="h3">Account {account}</Header>}>
          <SpaceBetween size="m">
            {form.policies
              .filter((p) => p.account === account)
              .map((p) => (
                <PolicyOf key={p.roleArn + p.kind} policy={p} />
              ))}
          </SpaceBetween>
        </Container>
      ))}
    </SpaceBetween>
  );
}

function PolicyOf({ policy: p }: { policy: Policy }) {
  const name = roleName(p.roleArn);
  const label = `${p.kind} of the ${p.role} ${name}`;
  return (
    <Code
      text={JSON.stringify(p.document, null, 2)}
      kind="json"
      label={label}
      heading={label[0]?.toUpperCase() + label.slice(1)}
      file={`${p.account}-${name.replaceAll('/', '-')}-${p.kind.replaceAll(' ', '-')}.json`}
    />
  );
}

function Script({ anew, existing, what, file }: { anew: string; existing: string; what: string; file: string }) {
  const [fresh, setFresh] = useState(false);
  return (
    <SpaceBetween size="xs">
      <Toggle checked={fresh} onChange={({ detail }) => setFresh(detail.checked)}>
        Make the roles too
      </Toggle>
      <Code text={fresh ? anew : existing} label={what} file={file} />
    </SpaceBetween>
  );
}
