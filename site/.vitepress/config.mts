import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'

// The pages are those that the forge shows, in docs/. What they link to outside of it is on the forge alone.
const repository = 'https://github.com/podid/podid'
const top = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const docs = join(top, 'docs')

// toForge returns the address on the forge of what a page links to outside of
// docs/, and nothing for links within.
function toForge(page: string, link: string): string | undefined {
  if (/^([a-z]+:|#)/.test(link)) return
  const [path, anchor] = link.split('#')
  const target = resolve(dirname(join(docs, page)), path)
  if (!existsSync(target)) return // VitePress says that it is dead
  const outside = relative(docs, target).startsWith('..')
  const folder = !path.endsWith('.md') && !path.includes('.', path.lastIndexOf('/'))
  if (!outside && !folder) return
  if (!outside && existsSync(join(target, 'README.md'))) return
  return `${repository}/${folder ? 'tree' : 'blob'}/main/${relative(top, target)}${anchor ? '#' + anchor : ''}`
}

// What the mark of a shell block says to who reads it (site/README.md).
const notes: Record<string, string> = {
  server: 'Keeps running: go on in another shell.',
  fails: 'Is refused, and should be.',
  cluster: 'In a cluster of your own.',
  aws: 'Needs an AWS account.',
  ci: 'Takes minutes.',
}

export default defineConfig({
  srcDir: '../docs',
  outDir: 'dist',
  cacheDir: '.cache',
  title: 'podid',
  description: 'EKS Pod Identity, with target roles, for any Kubernetes cluster',
  lang: 'en',
  cleanUrls: true,
  // A folder's README is its first page, on the forge as here.
  rewrites: { 'README.md': 'index.md', ':folder/README.md': ':folder/index.md' },
  vite: {
    plugins: [
      {
        name: 'no-node-modules-above-the-pages',
        resolveId(id, importer) {
          if (/^vue(\/|$)/.test(id) && importer?.startsWith(docs)) return this.resolve(id, fileURLToPath(import.meta.url))
        },
      },
    ],
  },
  markdown: {
    config(md) {
      const before = md.renderer.rules.link_open ?? ((tokens, i, options, _, self) => self.renderToken(tokens, i, options))
      md.renderer.rules.link_open = (tokens, i, options, env, self) => {
        const forge = toForge(env.relativePath === 'index.md' ? 'README.md' : env.relativePath, tokens[i].attrGet('href') ?? '')
        if (forge) tokens[i].attrSet('href', forge)
        return before(tokens, i, options, env, self)
      }
            const fence = md.renderer.rules.fence!
      md.renderer.rules.fence = (tokens, i, ...rest) => {
        const [lang, mark] = tokens[i].info.trim().split(/\s+/)
        const note = lang === 'sh' && mark && notes[mark]
        if (lang === 'sh' || lang === 'output') tokens[i].info = lang === 'sh' ? 'sh' : 'txt'
        const shown = fence(tokens, i, ...rest)
        if (note) return `<p class="note">${note}</p>${shown}`
        return lang === 'output' ? `<div class="output">${shown}</div>` : shown
      }
    },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: { pattern: `${repository}/edit/main/docs/:path` },
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'Five questions', link: '/questions' },
      { text: 'Troubleshoot', link: '/how-to/troubleshoot' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'Quick start', link: '/quick-start' },
          { text: 'Five questions', link: '/questions' },
        ],
      },
      {
        text: 'Tutorials',
        items: [
          { text: 'A bucket in another account', link: '/tutorials/cross-account-s3' },
          { text: 'Session tags and ABAC', link: '/tutorials/tags-and-abac' },
          { text: 'Session policies', link: '/tutorials/session-policies' },
          { text: 'From IRSA', link: '/tutorials/from-irsa' },
          { text: 'From EKS Pod Identity, and back', link: '/tutorials/from-eks-pod-identity' },
        ],
      },
      {
        text: 'How to',
        items: [
          {
            text: 'Install',
            link: '/install/',
            collapsed: true,
            items: ['kind', 'k3s', 'kubeadm', 'EKS'].map((name) => ({ text: name, link: `/install/${name.toLowerCase()}` })),
          },
          { text: 'Associate service accounts', link: '/associations' },
          { text: 'Upgrade', link: '/how-to/upgrade' },
          { text: 'Rotate keys and certificates', link: '/how-to/rotate' },
          { text: 'Back up and restore', link: '/how-to/back-up' },
          { text: 'Troubleshoot', link: '/how-to/troubleshoot' },
          { text: 'Find out why', link: '/explain' },
          { text: 'Write the policies', link: '/policies' },
          { text: 'Monitor', link: '/monitoring' },
          { text: 'Use kubectl podid', link: '/kubectl' },
          { text: 'Use AWS itself', link: '/aws' },
          { text: 'Use the console', link: '/console' },
        ],
      },
      {
        text: 'Reference',
        items: [
          { text: 'Commands', link: '/reference/cli' },
          { text: 'The agent', link: '/agent' },
          { text: 'APIs', link: '/wire' },
          { text: 'The custom resource', link: '/reference/crd' },
          { text: 'Helm values', link: '/reference/helm' },
          { text: 'What pods are given', link: '/webhook' },
          { text: 'World files', link: '/world' },
          { text: 'Metrics', link: '/metrics' },
          { text: 'Audit', link: '/audit' },
          { text: 'Compatibility', link: '/compatibility' },
        ],
      },
      {
        text: 'Explanation',
        items: [
          { text: 'Architecture', link: '/architecture' },
          { text: 'Security', link: '/security' },
          { text: 'Threat model', link: '/explanation/threat-model' },
          { text: 'Consistency, in numbers', link: '/explanation/consistency' },
          { text: 'Beside its peers', link: '/explanation/comparison' },
          { text: 'Reliability', link: '/reliability' },
          { text: 'Benchmarks', link: '/benchmarks' },
          { text: 'Testing', link: '/testing' },
        ],
      },
    ],
    footer: { message: 'Apache-2.0' },
  },
})
