import { defineConfig } from 'vite';

// The output is committed, and internal/console embeds it: whatever decides
// its bytes comes from the lock file and from here.
export default defineConfig({
  base: '/console/',
  build: {
    outDir: '../internal/console/assets',
    emptyOutDir: true,
    assetsInlineLimit: 0, // what the page has of its own comes from files: the content security policy says so
    modulePreload: { polyfill: false },
    target: 'es2024',
    reportCompressedSize: false,
    license: { fileName: 'licenses.txt' },
    rolldownOptions: { onLog: (level, log, handle) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && handle(level, log) },
  },
  // PODID_API is a running podid for "npm run dev".
  server: { proxy: { '/console/api': process.env.PODID_API ?? 'http://127.0.0.1:7300' } },
});
