import type * as api from './types';

const base = '/console/api/v1';
const stored = 'podid.token';

/** Failure is an answer that is not 2xx, or none at all. Its message is for people. */
export class Failure extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly field?: string,
    readonly requestId?: string,
  ) {
    super(message);
  }
}

/**
 * The bearer token lives as long as the tab. A proxy in front may bring one of
 * its own, and development needs none: then there is nothing here.
 */
export const token = {
  get: () => sessionStorage.getItem(stored),
  set: (value: string) => sessionStorage.setItem(stored, value),
  forget: () => sessionStorage.removeItem(stored),
};

export type Query = Record<string, string | number | readonly string[] | undefined>;

interface Call {
  query?: Query;
  body?: unknown;
  signal?: AbortSignal;
}

/** call asks the API, and throws a Failure unless it answers well. */
export async function call<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, { query = {}, body, signal }: Call = {}): Promise<T> {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined && one !== '') params.append(name, String(one));
  }
  const headers: Record<string, string> = {};
  const bearer = token.get();
  if (bearer) headers.Authorization = 'Bearer ' + bearer;
  if (method !== 'GET') headers['X-Podid-Console'] = '1';
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const text = params.toString();
  let response: Response;
  try {
    response = await fetch(base + path + (text ? '?' + text : ''), { method, headers, body: body === undefined ? null : JSON.stringify(body), signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure('Unreachable', 'podid does not answer. Is it running, and is the network there?');
  }
  if (response.ok) return (await response.json()) as T;
  const reply = (await response.json().catch(() => undefined)) as api.ErrorReply | undefined;
  if (!reply?.error) throw new Failure('Unreachable', `Something in front of podid answered ${response.status}.`);
  throw new Failure(reply.error.code, reply.error.message, reply.error.field, reply.error.requestId);
}

export const get = <T,>(path: string, query?: Query, signal?: AbortSignal) => call<T>('GET', path, { query, signal });

/** at is the path of an association. */
export const at = (id: string, what = '') => `/associations/${encodeURIComponent(id)}${what && '/' + what}`;
