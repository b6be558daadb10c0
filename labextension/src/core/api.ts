/** Calls to the server half, and its stream of events. */

import type { Error as Problem, Event } from './types';
import type { IHost } from './host';

export const API = 1;

/** Why something was not done: found, expected, what to do next. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly found = '',
    readonly expected = '',
    readonly hint = ''
  ) {
    super(message);
  }
}

/** The server has no such half: it is another one, or the package is missing there. */
export class Missing extends Refusal {}

/** The page became somebody else before the answer came: whom it is about is nobody's business here any more. */
export class Outdated extends Refusal {}

/** Nobody answers. */
export class Unreachable extends Refusal {}

/** An error in one sentence, with what to do, where there is no place for more. */
export function sentence(error: unknown, otherwise: string): string {
  if (error instanceof Refusal) {
    return [error.message, error.hint].filter(one => one !== '').join(' → ');
  }
  return error instanceof Error ? error.message : otherwise;
}

export type Query = Readonly<Record<string, string | number | undefined>>;

export class Api {
  constructor(private readonly host: IHost) {}

  /** Whose calls these are. */
  persona = '';

  /**
   * An answer about whoever the page is when it comes.
   *
   * Throws `Outdated` where that is somebody else than who asked, unless the query names a persona itself.
   */
  async get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
    const { persona } = this;
    const found = await this.call<T>('GET', path, query, undefined, signal);
    if (query['persona'] === undefined && persona !== this.persona) {
      throw new Outdated(this.host.trans.__('This page is somebody else now.'), 0);
    }
    return found;
  }

  async post<T>(path: string, body: unknown, query: Query = {}, signal?: AbortSignal): Promise<T> {
    return this.call<T>('POST', path, query, body, signal);
  }

  /** Events until the server ends the stream; raises when it cannot be had. */
  async *events(signal: AbortSignal): AsyncGenerator<Event> {
    const response = await this.send('GET', this.path('events', {}), undefined, signal);
    await throwUnlessOk(response, this.host);
    if (response.body === null) {
      return;
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) {
          return;
        }
        const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (line.trim()) {
            yield JSON.parse(line) as Event;
          }
        }
      }
    } finally {
      void reader.cancel().catch(() => undefined);
    }
  }

  private async call<T>(method: string, path: string, query: Query, body?: unknown, signal?: AbortSignal): Promise<T> {
    const response = await this.send(method, this.path(path, query), body, signal);
    await throwUnlessOk(response, this.host);
    return (await response.json()) as T;
  }

  private path(path: string, query: Query): string {
    const given = Object.entries({ persona: this.persona || undefined, ...query }).filter(([, value]) => value !== undefined && value !== '');
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return text ? `${path}?${text}` : path;
  }

  private async send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    const init: RequestInit = { method, cache: 'no-store' };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'Content-Type': 'application/json' };
    }
    if (signal !== undefined) {
      init.signal = signal;
    }
    try {
      return await this.host.request(path, init);
    } catch (error) {
      if (signal?.aborted) {
        throw error;
      }
      const { trans } = this.host;
      throw new Unreachable(trans.__('The Jupyter server does not answer.'), 0, '', '', trans.__('Is it still running?'));
    }
  }
}

async function throwUnlessOk(response: Response, host: IHost): Promise<void> {
  if (response.ok) {
    return;
  }
  const { trans } = host;
  let problem: Partial<Problem> = {};
  try {
    problem = (await response.json()) as Partial<Problem>;
  } catch {
    // no words of ours
  }
  if (typeof problem.detail === 'string') {
    throw new Refusal(problem.detail, response.status, problem.found ?? '', problem.expected ?? '', problem.hint ?? '');
  }
  if (response.status === 404) {
    const hint = trans.__('In its environment: pip install "sls-jupyter[lab]"; then jupyter server extension list shows it enabled. Restart the server.');
    throw new Missing(trans.__('This Jupyter server does not have the server half of sls_jupyter.'), 404, '', '', hint);
  }
  if (response.status === 401 || response.status === 403) {
    throw new Refusal(trans.__('The Jupyter server does not let you in.'), response.status, '', '', trans.__('Log in again and reload the page.'));
  }
  throw new Refusal(trans.__('The Jupyter server answered HTTP %1.', response.status), response.status);
}
