import Autosuggest, { type AutosuggestProps } from '@cloudscape-design/components/autosuggest';
import { useState } from 'react';
import { useLoad } from '../use';

interface Props {
  value: string;
  onChange: (value: string) => void;
  /** ask returns what fits a text; key tells when its answers are others. */
  ask: (text: string, signal: AbortSignal) => Promise<AutosuggestProps.Options>;
  askKey: string;
  placeholder: string;
  empty: string;
  disabled?: boolean;
  ariaRequired?: boolean;
  onBlur?: () => void;
}

/** Suggest is a text field that offers what there is, and takes what there is not yet. */
export function Suggest({ value, onChange, ask, askKey, placeholder, empty, ...rest }: Props) {
  const [wanted, setWanted] = useState<string>();
  const found = useLoad(wanted === undefined ? undefined : JSON.stringify([askKey, wanted]), (signal) => ask(wanted ?? '', signal), 150);
  return (
    <Autosuggest
      {...rest}
      value={value}
      onChange={({ detail }) => onChange(detail.value)}
      onLoadItems={({ detail }) => setWanted(detail.filteringText)}
      options={found.data ?? []}
      filteringType="manual"
      statusType={found.error ? 'error' : found.loading ? 'loading' : 'finished'}
      loadingText="Loading"
      errorText={found.error?.message}
      recoveryText="Retry"
      enteredTextLabel={(text) => `Use: ${text}`}
      placeholder={placeholder}
      empty={empty}
      expandToViewport
    />
  );
}
