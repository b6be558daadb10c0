/** Work that is done a while after the last thing that called for it, and only where somebody sees its outcome. */

export class Soon {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private ending: AbortController | null = null;
  private due = false;

  constructor(
    private readonly work: (signal: AbortSignal) => Promise<void>,
    private readonly seen: () => boolean
  ) {}

  /** Do it when `milliseconds` have passed without another call; what is under way is given up. */
  in(milliseconds: number): void {
    this.stop();
    this.timer = setTimeout(() => {
      this.due = true;
      this.look();
    }, milliseconds);
  }

  /** It may be seen now: do what is due. */
  look(): void {
    if (!this.due || !this.seen()) {
      return;
    }
    this.due = false;
    const ending = new AbortController();
    this.ending = ending;
    void this.work(ending.signal)
      .catch(error => ending.signal.aborted || console.error(error))
      .finally(() => {
        if (this.ending === ending) {
          this.ending = null;
        }
      });
  }

  stop(): void {
    clearTimeout(this.timer);
    this.ending?.abort();
    this.ending = null;
    this.due = false;
  }
}
