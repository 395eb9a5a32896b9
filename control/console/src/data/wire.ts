// What control sends, as TypeScript sees it: one type for each route of /v1/console. It owns no behaviour. Names come from
// clients and are shown as text only.

export interface WhoAmI {
  access: 'local' | 'tokens';
  actor: string | null;
  role: string | null;
  console: string;
  epoch: string;
}

export interface Step {
  step_s: number;
  keeps_s: number;
  first_seq: number;
  next_seq: number;
  t0_ms: number;
}

export type Labels = Readonly<Record<string, string>>;

export interface Series {
  id: number;
  name: string;
  labels: Labels;
  kind: 'counter' | 'gauge' | 'bucket';
}

export interface Catalog {
  epoch: string;
  now_ms: number;
  steps: Step[];
  series: Series[];
  left_out: number;
}

// One array for each series, in the order of `series`; row i has the time t0_ms + i * step_s * 1000.
export interface History {
  epoch: string;
  step_s: number;
  first: number;
  t0_ms: number;
  series: number[];
  columns: (number | null)[][];
}

export interface Hello {
  epoch: string;
  series: number[];
}

export interface Sample {
  seq: number;
  t_ms: number;
  values: (number | null)[];
}

export type Severity = 'page' | 'critical' | 'ticket' | 'warning' | 'info';

export interface Attention {
  name: string;
  severity: Severity;
  // The alert in short; `words` say it with numbers.
  summary?: string;
  words: string;
  runbook: string;
  since_ms: number;
}

export interface TenantKey {
  id: string;
  scheme: string;
  not_before_ms: number | null;
  not_after_ms: number | null;
}

export interface Tenant {
  id: string;
  enabled: boolean;
  rate: number;
  bytes_per_second: number;
  keys: TenantKey[];
}

export interface Overview {
  version: string;
  commit: string | null;
  // Null where the gateway does not say it.
  driver: string | null;
  started_ms: number;
  address: string;
  shards: { shard: number; cpu: number | null; node: number | null }[];
  wal_dir: string;
  snapshot: { number: number; since_ms: number; digest: string };
  tenants: Tenant[];
  first_record: string[];
}

export interface DiskFile {
  name: string;
  kind: 'segment' | 'packed' | 'slice' | 'manifest' | 'other';
  shard?: number | null;
  bytes: number;
  first_ms: number | null;
  last_ms: number | null;
  state: 'open' | 'closed' | 'sealed';
  keys?: number | null;
}

export interface Disk {
  // Null where the gateway does not say it.
  cap_bytes: number | null;
  free_bytes: number | null;
  used_bytes: number;
  horizon_s: number | null;
  horizon_max_s: number | null;
  files: DiskFile[];
  deleted_next: string | null;
}

export interface Found {
  tenant: string;
  pcs_id: string;
  status: number;
  outcome: string;
  decided_ms: number;
  expires_ms: number;
  key_id: string | null;
  params: string | null;
  origin: string;
  slice: string | null;
}

export interface Refusal {
  t_ms: number;
  status: number;
  code: string;
  // Of the record, where it is about one.
  field?: string | null;
  tenant: string | null;
  key_id: string | null;
  shard: number;
}

export interface LoggedEvent {
  t_ms: number;
  kind: string;
  words: string;
  actor: string | null;
}
