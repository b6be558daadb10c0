/** What all views share: whose panel it is, what the server says of itself, and what has changed. */

import type { About, Event, Status } from './types';
import { Api, API, Missing, Refusal } from './api';
import { Emitter } from './emitter';
import type { IDialog, IHost } from './host';

export type Section = NonNullable<Event['section']>;
export type Half = 'starting' | 'ready' | 'missing' | 'differs' | 'unreachable';

const AGAIN_MS = [500, 1000, 2000, 5000, 10000];
const POLL_MS = 5000; // where no stream can be had
const HIDDEN_MS = 20_000; // a browser has six connections for all pages of one server: a hidden page leaves its own to others

export class Model {
  readonly api: Api;
  /** A section is otherwise than it was when it was asked for last. */
  readonly changed = new Emitter<Section>();
  /** An event about one run, or one request. */
  readonly told = new Emitter<Event>();
  /** `status`, `about`, `half` or the persona is another one. */
  readonly updated = new Emitter<void>();

  about: About | null = null;
  status: Status | null = null;
  half: Half = 'starting';
  /** Why the other half is not ready, and what to do. */
  trouble: Refusal | null = null;

  private ending: AbortController | null = null;
  private statusAsked = ''; // whose status is being asked for
  private statusDue = false;
  private readonly revisions = new Map<Section, number>();

  constructor(
    readonly host: IHost,
    /** Of this bundle: what the server's half must have. */
    readonly version: string
  ) {
    this.api = new Api(host);
  }

  get persona(): string {
    return this.api.persona;
  }

  /** How often a section has changed; a view that knows the number need not ask again. */
  revision(section: Section): number {
    return this.revisions.get(section) ?? 0;
  }

  /** Begin; ends with `stop`. */
  start(persona = ''): void {
    this.stop();
    this.api.persona = persona;
    this.ending = new AbortController();
    void this.live(this.ending.signal);
  }

  stop(): void {
    this.ending?.abort();
    this.ending = null;
  }

  /** Be somebody else; every section is another one. */
  become(persona: string): void {
    this.status = null;
    this.about = null;
    this.start(persona);
    this.updated.emit();
    for (const section of ['status', 'requests', 'runs', 'assets', 'people'] as const) {
      this.touch(section);
    }
  }

  /**
   * A question before something is done as a persona. What was answered for one persona is not done as another: where
   * the page became somebody else while the question was open, the answer counts for nothing, and that is said.
   */
  async ask(dialog: IDialog): Promise<boolean> {
    const { persona, host } = this;
    const { trans } = host;
    const same = () => (persona === this.persona ? '' : trans.__('This page was %1 when it asked, and is %2 now. Nothing was done.', persona, this.persona));
    const accepted = await host.ask({ ...dialog, check: async () => same() || ((await dialog.check?.()) ?? '') });
    if (accepted && same()) {
      host.notify(same());
    }
    return accepted && !same();
  }

  /** One question at a time, and one more where something has changed meanwhile. */
  async refreshStatus(): Promise<void> {
    const { persona } = this;
    this.statusDue = true;
    if (persona === '' || persona === this.statusAsked) {
      return; // there is nobody yet, or it is asked again as soon as the answer is there
    }
    this.statusAsked = persona;
    try {
      while (this.statusDue && persona === this.persona) {
        this.statusDue = false;
        this.status = await this.api.get<Status>('status');
        this.updated.emit();
      }
    } catch {
      // the stream tells what is wrong with the server; a section tells what is wrong with an authority
    } finally {
      if (this.statusAsked === persona) {
        this.statusAsked = '';
      }
    }
  }

  /** Ask anew which personas there are; what it says of versions is looked at when the page shakes hands. */
  async refreshAbout(): Promise<void> {
    try {
      this.about = await this.api.get<About>('about');
      this.updated.emit();
    } catch {
      // the stream tells what is wrong with the server
    }
  }

  private touch(section: Section): void {
    this.revisions.set(section, this.revision(section) + 1);
    this.changed.emit(section);
    if (section === 'status' || section === 'requests' || section === 'runs') {
      void this.refreshStatus();
    } else if (section === 'people') {
      void this.refreshAbout();
    }
  }

  private set(half: Half, trouble: Refusal | null): void {
    if (this.half !== half || this.trouble?.message !== trouble?.message) {
      this.half = half;
      this.trouble = trouble;
      this.updated.emit();
    }
  }

  private async live(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.shakeHands(signal);
        if (this.half === 'differs') {
          return;
        }
        await this.refreshStatus();
        await this.listen(signal, () => (failures = 0));
        failures = 0;
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        failures += 1;
        const refusal = error instanceof Refusal ? error : new Refusal(String(error), 0);
        this.set(error instanceof Missing ? 'missing' : 'unreachable', refusal);
      }
      await pause(failures > 0 ? (AGAIN_MS[Math.min(failures, AGAIN_MS.length) - 1] ?? POLL_MS) : 0, signal);
    }
  }

  /** Take events until the server ends the stream, or the page has been hidden for a while. */
  private async listen(signal: AbortSignal, took: () => void): Promise<void> {
    const ending = new AbortController();
    const hidden = new Hidden(HIDDEN_MS, () => ending.abort());
    try {
      for await (const event of this.api.events(AbortSignal.any([signal, ending.signal]))) {
        took();
        this.take(event);
      }
    } catch (error) {
      if (!ending.signal.aborted) {
        throw error;
      }
    } finally {
      hidden.stop();
    }
  }

  private async shakeHands(signal: AbortSignal): Promise<void> {
    const about = await this.api.get<About>('about', {}, signal);
    const { trans } = this.host;
    this.about = about;
    if (about.api !== API || about.version !== this.version) {
      const found = trans.__('server %1, this page %2', about.version, this.version);
      const hint = trans.__('Reload the page. If that is not enough, restart the Jupyter server; "jupyter labextension list" and "pip show sls-jupyter" tell the versions.');
      this.set('differs', new Refusal(trans.__('The two halves of sls_jupyter have different versions.'), 0, found, trans.__('the same version'), hint));
      return;
    }
    this.api.persona = about.persona; // the one that was asked for, where it is there
    this.set('ready', null);
    this.updated.emit();
  }

  private take(event: Event): void {
    if (event.type === 'changed' && event.section !== null) {
      this.touch(event.section);
    } else if (event.type === 'hello') {
      // what changed while nobody listened is not known
      for (const section of ['requests', 'runs', 'assets', 'people'] as const) {
        this.touch(section);
      }
    } else {
      this.told.emit(event);
    }
  }
}

/** Calls once the page has been hidden for so long without a pause. */
class Hidden {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly milliseconds: number,
    private readonly call: () => void
  ) {
    document.addEventListener('visibilitychange', this.look);
    this.look();
  }

  stop(): void {
    clearTimeout(this.timer);
    document.removeEventListener('visibilitychange', this.look);
  }

  private readonly look = () => {
    clearTimeout(this.timer);
    this.timer = document.hidden ? setTimeout(this.call, this.milliseconds) : undefined;
  };
}

/** Wait, and while the page is hidden go on waiting. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      document.removeEventListener('visibilitychange', look);
      resolve();
    };
    let due = false;
    const look = () => {
      if (due && !document.hidden) {
        done();
      }
    };
    const timer = setTimeout(() => {
      due = true;
      look();
    }, milliseconds);
    signal.addEventListener('abort', done);
    document.addEventListener('visibilitychange', look);
  });
}
