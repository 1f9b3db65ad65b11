// Written by go test ./test/console -run Contract -update, from internal/console/api.go.

export interface ActivityPage {
  items: AuditEvent[];
  older?: string;
  newer: string;
  partial?: Partial[];
}

export interface Agent {
  node: string;
  version?: string;
  listening: boolean;
  replica?: string;
  lastHeard: string;
  since: string;
  cache?: AgentCache;
  stale: boolean;
}

export interface AgentCache {
  pods: number;
  entries: number;
  hits: number;
  misses: number;
  stale: number;
  at: string;
}

export interface Association {
  id: string;
  arn: string;
  cluster: string;
  namespace: string;
  serviceAccount: string;
  roleArn: string;
  roleAccount: string;
  targetRoleArn?: string;
  targetRoleAccount?: string;
  externalId?: string;
  disableSessionTags: boolean;
  policy?: string;
  tags?: Record<string, string>;
  state: State;
  stateReason?: string;
  createdAt: string;
  modifiedAt: string;
  revokedAt?: string;
  lastIssued?: string;
  version: string;
  managedBy?: string;
}

export interface AssociationDetail extends Association {
  conditions?: Condition[];
  object?: string;
  may: May;
}

export interface AssociationInput {
  cluster?: string;
  namespace: string;
  serviceAccount: string;
  roleArn: string;
  targetRoleArn?: string;
  disableSessionTags?: boolean;
  policy?: string;
  tags?: Record<string, string>;
  version?: string;
}

export interface AssociationPage {
  items: Association[];
  total: number;
  page: number;
  pageSize: number;
  pages: number;
}

export interface AuditEvent {
  id: string;
  time: string;
  name: string;
  door?: string;
  outcome: string;
  cluster?: string;
  namespace?: string;
  serviceAccount?: string;
  pod?: string;
  node?: string;
  caller?: string;
  associationId?: string;
  roles?: string[];
  accessKeyId?: string;
  errorCode?: string;
  errorMessage?: string;
  source?: string;
  event: unknown;
}

export interface Bucket {
  start: string;
  granted: number;
  refused: number;
}

export interface Certificate {
  name: string;
  notBefore: string;
  notAfter: string;
  names?: string[];
}

export interface Chain {
  accounts: ChainAccount[];
  nodes: ChainNode[];
  arrows: ChainArrow[];
}

export interface ChainAccount {
  id: string;
  name?: string;
}

export interface ChainArrow {
  from: string;
  to: string;
  step: string;
  label: string;
  verdict: Verdict;
  tags?: Tag[];
  inheritedTags?: Tag[];
  externalId?: string;
  sessionName?: string;
  durationSeconds?: number;
  sessionPolicy?: boolean;
  tried?: Verdict;
  triedText?: string;
}

export interface ChainNode {
  id: string;
  kind: string;
  label: string;
  arn?: string;
  account?: string;
}

export interface ChainStats {
  hits: number;
  misses: number;
  assumptions: number;
  throttled: number;
  entries: number;
  queue: number;
  ratePerSecond: number;
  unfinished: number;
  secondsSince: number;
}

export interface Cluster {
  name: string;
  arn: string;
  region: string;
  accountId: string;
}

export interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
  lastTransitionTime: string;
}

export interface Counts {
  from: string;
  to: string;
  bucketSeconds: number;
  buckets: Bucket[];
  granted: number;
  refused: number;
  partial?: Partial[];
}

export interface Deletion {
  pods: Pods;
  consequences: string[];
  credentialsUntil?: string;
}

export interface Error {
  code: string;
  message: string;
  field?: string;
  requestId: string;
  retryAfterSeconds?: number;
}

export interface ErrorReply {
  error: Error;
}

export interface Events {
  items: KubernetesEvent[];
  known: boolean;
}

export interface Explanation {
  report?: Report;
  chain: Chain;
  unavailable?: string;
  at: string;
}

export interface Facet {
  value: string;
  count: number;
}

export interface Facets {
  field: string;
  items: Facet[];
  more: boolean;
}

export interface Fact {
  name: string;
  value: string;
}

export interface Finding {
  verdict: Verdict;
  action?: string;
  resource?: string;
  text: string;
  statements?: Statement[];
}

export interface Fix {
  text: string;
  account: string;
  owner?: string;
  document?: string;
  diff?: string;
  commands?: string[];
}

export interface Health {
  at: string;
  verdict: string;
  findings: HealthFinding[];
  replicas: Replica[];
  agents: Agent[];
  nodesWithoutAgent: string[];
  nodesKnown: boolean;
  partial?: Partial[];
}

export interface HealthFinding {
  severity: string;
  text: string;
  do?: string;
}

export interface KubernetesEvent {
  type: string;
  reason: string;
  message: string;
  count: number;
  firstSeen: string;
  lastSeen: string;
  source?: string;
}

export interface Live {
  verdict: Verdict;
  answer: string;
  agrees: boolean;
  text: string;
}

export interface Map {
  by: string;
  nodes: MapNode[];
  flows: MapFlow[];
  associations: number;
  shown: number;
  truncated: boolean;
}

export interface MapFlow {
  from: string;
  to: string;
  associations: number;
  working: number;
  failing: number;
  paths: string[];
  associationId?: string;
}

export interface MapNode {
  id: string;
  kind: string;
  column: number;
  label: string;
  parent?: string;
  arn?: string;
  associations: number;
}

export interface May {
  create: boolean;
  update: boolean;
  delete: boolean;
  activity: boolean;
  health: boolean;
  explain: boolean;
}

export interface Miss {
  element: string;
  operator?: string;
  key?: string;
  wanted: string[];
  got?: string[];
  absent?: boolean;
  hint?: string;
}

export interface Names {
  items: string[];
  more: boolean;
}

export interface Partial {
  source: string;
  reason: string;
}

export interface Pod {
  namespace: string;
  name: string;
  uid?: string;
  node?: string;
  phase?: string;
  ready: boolean;
  lastAsked?: string;
  lastOutcome?: string;
}

export interface Pods {
  items: Pod[];
  total: number;
  known: boolean;
  reason?: string;
}

export interface Policies {
  forms: PolicyForm[];
  unavailable?: string;
}

export interface Policy {
  account: string;
  roleArn: string;
  role: string;
  kind: string;
  policyName?: string;
  document: unknown;
}

export interface PolicyForm {
  form: string;
  recommended: boolean;
  policies: Policy[];
  terraform: string;
  terraformExisting: string;
  commands: string;
  commandsExisting: string;
}

export interface Preview {
  valid: boolean;
  problems: Problem[];
  warnings?: string[];
  explanation?: Explanation;
  policies?: Policies;
}

export interface PreviewInput {
  id?: string;
  association: AssociationInput;
  action?: string;
  resource?: string;
}

export interface Problem {
  field?: string;
  code: string;
  message: string;
}

export interface Replica {
  name: string;
  version: string;
  started: string;
  ready: boolean;
  lacks?: string;
  self: boolean;
  agents: number;
  associations: number;
  sequence: number;
  behindBy: number;
  chains: ChainStats;
  certificates: Certificate[];
}

export interface Report {
  verdict: Verdict;
  steps: Step[];
  warnings?: Warning[];
  unseen?: Unseen[];
  live?: Live;
}

export interface Role {
  arn: string;
  account: string;
  name: string;
  description?: string;
  podIdentityRoleOf: number;
  targetRoleOf: number;
}

export interface Roles {
  items: Role[];
  more: boolean;
}

export interface ServiceAccount {
  namespace: string;
  name: string;
  associationId?: string;
}

export interface ServiceAccounts {
  items: ServiceAccount[];
  more: boolean;
}

export interface Session {
  user: string;
  groups?: string[];
  mode: string;
  readOnly: boolean;
  clusters: Cluster[];
  version: string;
  may: May;
  allNamespaces: boolean;
  namespaces?: string[];
  now: string;
}

export type State = 'working' | 'failing' | 'not-ready' | 'unknown';

export interface Statement {
  policy: string;
  sid?: string;
  statement: number;
  line: number;
  effect: string;
  matched: boolean;
  misses?: Miss[];
}

export interface Step {
  name: string;
  title: string;
  verdict: Verdict;
  facts?: Fact[];
  findings?: Finding[];
  fixes?: Fix[];
}

export interface Tag {
  key: string;
  value: string;
}

export interface Unseen {
  what: string;
  reason: string;
  without: string;
}

export type Verdict = 'allowed' | 'refused' | 'unknown';

export interface Warning {
  text: string;
  where: string;
  forecast?: boolean;
}
