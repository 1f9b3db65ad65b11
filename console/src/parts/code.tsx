import Button from '@cloudscape-design/components/button';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Box from '@cloudscape-design/components/box';
import type { ReactNode } from 'react';

interface CodeProps {
  text: string;
  kind?: 'json' | 'diff' | 'text';
  /** label says what the text is, for those who hear it. */
  label: string;
  heading?: ReactNode;
  /** file is the name under which it is downloaded; without one it is not offered. */
  file?: string;
  wrap?: boolean;
  /** tall: all of it is shown, however long. */
  tall?: boolean;
}

/** Code is text that people copy. */
export function Code({ text: given, kind = 'text', label, heading, file, wrap, tall }: CodeProps) {
  const text = given.trimEnd();
  return (
    <SpaceBetween size="xxs">
      <div className="code-head">
        <Box variant="awsui-key-label">{heading ?? label}</Box>
        <SpaceBetween direction="horizontal" size="xxs">
          <CopyToClipboard variant="inline" textToCopy={text} textToDisplay="" copyButtonAriaLabel={`Copy: ${label}`} copySuccessText="Copied" copyErrorText="Not copied" />
          {file && <Button variant="inline-icon" formAction="none" iconName="download" ariaLabel={`Download: ${label}`} onClick={() => download(file, text)} />}
        </SpaceBetween>
      </div>
      {/* It scrolls, so it has to be reachable by keyboard. */}
      <pre className={`code${wrap ? ' wrap' : ''}${tall ? ' tall' : ''}`} tabIndex={0} aria-label={label} role="region">
        {kind === 'diff' ? diff(text) : kind === 'json' ? json(text) : text}
      </pre>
    </SpaceBetween>
  );
}

function download(name: string, text: string) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function diff(text: string): ReactNode {
  return text.split('\n').map((line, i) => {
    const kind = line.startsWith('@@') ? 'at' : line.startsWith('+') ? 'add' : line.startsWith('-') ? 'del' : undefined;
    return (
      <span key={i} className={kind}>
        {line + '\n'}
      </span>
    );
  });
}

/** json colours JSON that is indented already. */
function json(text: string): ReactNode {
  const parts: ReactNode[] = [];
  let from = 0;
  for (const m of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\b\d[\d.eE+-]*/g)) {
    parts.push(text.slice(from, m.index));
    const kind = m[1] ? (m[2] ? 'key' : 'string') : 'number';
    parts.push(
      <span key={m.index} className={kind}>
        {m[1] ?? m[0]}
      </span>,
    );
    from = m.index + (m[1] ?? m[0]).length;
  }
  parts.push(text.slice(from));
  return parts;
}

/** Mono is an id or an ARN, with a button that copies it. */
export function Mono({ children, what }: { children?: string; what: string }) {
  if (!children) return <>-</>;
  return <CopyToClipboard variant="inline" textToCopy={children} textToDisplay={children} copyButtonAriaLabel={`Copy ${what}`} copySuccessText="Copied" copyErrorText="Not copied" />;
}
