// Requests to control, same origin only. A refusal becomes a `Refused` with the words of the problem document; it never
// retries.

import type { Catalog, Disk, Found, History, LoggedEvent, Overview, Refusal, WhoAmI } from './wire';

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    words: string,
  ) {
    super(words);
  }
}

interface Problem {
  code?: string;
  title?: string;
  detail?: string;
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, credentials: 'same-origin', signal: AbortSignal.timeout(15_000) });
  } catch {
    throw new Refused(0, 'no_answer', 'Control does not answer.');
  }
  if (!response.ok) throw await refusedBy(response);
  return response;
}

// The words of a problem document.
export async function refusedBy(response: Response): Promise<Refused> {
  const problem = (await response.json().catch(() => ({}))) as Problem;
  const words = problem.detail ?? problem.title ?? `Control answered ${response.status}.`;
  return new Refused(response.status, problem.code ?? 'refused', words);
}

async function read<T>(path: string): Promise<T> {
  const response = await ask(path);
  return (await response.json()) as T;
}

export const api = {
  whoAmI: () => read<WhoAmI>('/v1/console/whoami'),
  catalog: () => read<Catalog>('/v1/console/catalog'),
  overview: () => read<Overview>('/v1/console/overview'),
  disk: () => read<Disk>('/v1/console/disk'),
  refusals: () => read<Refusal[]>('/v1/console/refusals'),
  events: () => read<LoggedEvent[]>('/v1/console/events'),
  lookUp: (id: string, tenant: string) =>
    read<Found>(`/v1/console/lookup/${encodeURIComponent(id)}?tenant=${encodeURIComponent(tenant)}`),
  history: (step_s: number, from: number, to: number, names: readonly string[]) =>
    read<History>(`/v1/console/history?step_s=${step_s}&from=${from}&to=${to}&names=${names.join(',')}`),
  signIn: (token: string) =>
    ask('/console/session', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
    }),
  signOut: () => ask('/console/session', { method: 'DELETE' }),
  runbooks: () => read<Record<string, string>>('assets/runbooks.json'),
};
