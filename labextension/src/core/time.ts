/** Times as a person reads them, and texts that go on with the clock without asking anybody. */

import { h } from './dom';
import type { ITranslate } from './host';

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
const MONTH = 30 * DAY;

export function now(): number {
  return Date.now() / 1000;
}

/** How long ago, in one unit; a date where it is more than a month. */
function ago(at: number, trans: ITranslate): string {
  const seconds = now() - at;
  if (seconds < MINUTE) {
    return trans.__('just now');
  }
  if (seconds < HOUR) {
    return trans.__('%1 min ago', Math.floor(seconds / MINUTE));
  }
  if (seconds < DAY) {
    return trans.__('%1 h ago', Math.floor(seconds / HOUR));
  }
  if (seconds < MONTH) {
    return trans._n('%1 day ago', '%1 days ago', Math.floor(seconds / DAY), Math.floor(seconds / DAY));
  }
  return new Date(at * 1000).toLocaleDateString();
}

/** How long something takes or has taken. */
export function lasting(seconds: number, trans: ITranslate): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) {
    return trans.__('%1 s', whole);
  }
  if (whole < HOUR) {
    return whole % MINUTE === 0 ? trans.__('%1 min', whole / MINUTE) : trans.__('%1 min %2 s', Math.floor(whole / MINUTE), whole % MINUTE);
  }
  if (whole < DAY) {
    const minutes = Math.floor((whole % HOUR) / MINUTE);
    return minutes === 0 ? trans.__('%1 h', Math.floor(whole / HOUR)) : trans.__('%1 h %2 min', Math.floor(whole / HOUR), minutes);
  }
  return trans._n('%1 day', '%1 days', Math.floor(whole / DAY), Math.floor(whole / DAY));
}

function timeNode(at: number, text: string, kind: 'ago' | 'since'): HTMLElement {
  const date = new Date(at * 1000);
  const known = at > 0 && !Number.isNaN(date.getTime());
  return known ? h('time', { datetime: date.toISOString(), title: date.toLocaleString(), 'data-clock': kind, 'data-at': at }, text) : h('time', {}, '');
}

/** `5 min ago`, which a `Clock` keeps right; nothing for a time that is not known. */
export function age(at: number, trans: ITranslate): HTMLElement {
  return timeNode(at, at > 0 ? ago(at, trans) : '', 'ago');
}

/** How long since then, which a `Clock` keeps right. It is not announced: it changes each second. */
export function elapsed(at: number, trans: ITranslate): HTMLElement {
  return timeNode(at, at > 0 ? lasting(now() - at, trans) : '', 'since');
}

const SLOW_TICKS = 15; // seconds between two looks at the times that are told in minutes

/** Keeps the times below a node right while it is shown and the page is seen. */
export class Clock {
  private timer: ReturnType<typeof setInterval> | undefined;
  private ticks = 0;

  constructor(
    private readonly node: HTMLElement,
    private readonly trans: ITranslate
  ) {}

  start(): void {
    this.all();
    this.timer ??= setInterval(() => this.tick(), 1000);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private tick(): void {
    if (document.hidden) {
      return;
    }
    this.ticks += 1;
    if (this.ticks % SLOW_TICKS === 0) {
      this.all();
    } else {
      this.set('since', at => lasting(now() - at, this.trans));
    }
  }

  private all(): void {
    this.set('ago', at => ago(at, this.trans));
    this.set('since', at => lasting(now() - at, this.trans));
  }

  private set(clock: 'ago' | 'since', words: (at: number) => string): void {
    for (const node of this.node.querySelectorAll<HTMLElement>(`time[data-clock="${clock}"]`)) {
      const text = words(Number(node.dataset['at']));
      if (node.textContent !== text) {
        node.textContent = text;
      }
    }
  }
}
