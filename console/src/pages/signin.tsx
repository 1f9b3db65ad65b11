import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Form from '@cloudscape-design/components/form';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useEffect, useState } from 'react';
import { token } from '../api/client';
import { Code } from '../parts/code';

/** SignIn asks for a bearer token of the cluster. problem is what the last one was refused with. */
export default function SignIn({ onToken, problem }: { onToken: () => void; problem?: string }) {
  const [value, setValue] = useState('');
  useEffect(() => {
    document.title = 'Sign in · podid';
  }, []);
  return (
    <main className="signin">
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (!value.trim()) return;
          token.set(value.trim());
          onToken();
        }}
      >
        <Form actions={<Button variant="primary" formAction="submit">Sign in</Button>}>
          <Container header={<Header variant="h1" description="The console does what you may do in the cluster, and nothing else.">Sign in to podid</Header>}>
            <SpaceBetween size="l">
              {problem && (
                <Alert type="error" header="That token is not accepted">
                  {problem}
                </Alert>
              )}
              <FormField label="Bearer token" description="Of a user or service account of this cluster. It is kept in this tab alone, until you sign out or close it.">
                <Input value={value} onChange={({ detail }) => setValue(detail.value)} type="password" autoComplete={false} autoFocus name="token" />
              </FormField>
              <Code text="kubectl create token NAME -n NAMESPACE" label="Command that makes a token" heading="A token of a service account" />
            </SpaceBetween>
          </Container>
        </Form>
      </form>
    </main>
  );
}
