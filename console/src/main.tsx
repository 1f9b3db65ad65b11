import I18nProvider from '@cloudscape-design/components/i18n';
import messages from '@cloudscape-design/components/i18n/messages/all.en';
import { createRoot } from 'react-dom/client';
import App from './app';
import './console.css';
import { paint } from './theme';

paint();
const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');
createRoot(root).render(
  <I18nProvider locale="en" messages={[messages]}>
    <App />
  </I18nProvider>,
);
