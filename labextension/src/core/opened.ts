/** The one thing that is open: asked for once at a time, and drawn only if it is still the one when the answer comes. */

const APART_MS = 250; // of two questions about the same thing

export interface IOpenedOptions<P> {
  readonly ask: (id: string) => Promise<P>;
  readonly draw: (page: P) => void;
  readonly fail: (error: unknown) => void;
}

export class Opened<P> {
  id = '';
  page: P | null = null;
  private turn = 0; // of opening and closing
  private working = false;
  private again = false;

  constructor(private readonly options: IOpenedOptions<P>) {}

  open(id: string): void {
    this.close();
    this.id = id;
    this.refresh();
  }

  close(): void {
    this.turn += 1;
    this.id = '';
    this.page = null;
    this.working = false;
  }

  /** Take a page that came by another way, for instance as the answer to an action. */
  take(id: string, page: P): void {
    if (id === this.id) {
      this.page = page;
      this.options.draw(page);
    }
  }

  /** Ask again; many calls in a short time are one question. */
  refresh(): void {
    this.again = this.working;
    if (this.id !== '' && !this.working) {
      void this.ask(this.turn);
    }
  }

  private async ask(turn: number): Promise<void> {
    const { id } = this;
    this.working = true;
    try {
      const page = await this.options.ask(id);
      if (turn === this.turn) {
        this.take(id, page);
      }
    } catch (error) {
      if (turn === this.turn) {
        this.options.fail(error);
      }
    }
    await new Promise(resolve => setTimeout(resolve, APART_MS));
    if (turn === this.turn) {
      this.working = false;
      if (this.again) {
        this.refresh();
      }
    }
  }
}
