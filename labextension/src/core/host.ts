/** What the panel needs of the place it stands in: JupyterLab, Notebook, or a page of its own. */

/** The part of JupyterLab's `TranslationBundle` that is used. */
export interface ITranslate {
  __(text: string, ...args: unknown[]): string;
  /** `%1` is the first of `args`, which is the number once more. */
  _n(one: string, many: string, n: number, ...args: unknown[]): string;
}

export interface IDialog {
  readonly title: string;
  readonly body: HTMLElement;
  readonly accept: string;
  /** The button stands out as one that cannot be undone. */
  readonly warn?: boolean;
  /** Called when the button is pressed; a sentence keeps the dialog open, with the sentence in it. */
  readonly check?: () => string | Promise<string>;
}

/** What a place with notebooks can do. */
export interface INotebooks {
  /** Put a new cell below the active one of the current notebook; false: there is no notebook. */
  insertCell(text: string): Promise<boolean>;
  /** Show the cell that started a run, if a notebook that is open has it. */
  revealRun(run: string): boolean;
  /** Frames that cells of the current notebook assign to a name, as far as its text tells. */
  variables(): readonly string[];
}

export interface IHost {
  readonly trans: ITranslate;
  /** Fetch below `sls_jupyter/v1/`, with what the server's authentication needs. */
  request(path: string, init: RequestInit): Promise<Response>;
  /** A modal dialog; true when its button was pressed. */
  ask(dialog: IDialog): Promise<boolean>;
  /** A sentence that goes by itself, or stays with one button. */
  notify(words: string, action?: { readonly label: string; readonly run: () => void }): void;
  copy(text: string): Promise<void>;
  /** Show a document of ours, for printing. It is a page without scripts. */
  openDocument(name: string, html: string): void;
  /** Give the person a file. */
  saveFile(name: string, text: string): Promise<void>;
  readonly notebooks?: INotebooks;
}
