/**
 * The body of a %%safestream or %%seal cell, for a language server, which sees Python in it.
 *
 * The magic's line becomes one line that defines what the cell finds: its tables, its parameters, `pd` and `np`. So each
 * line of the body keeps its number. In the notebook itself stands, in the place of the cell, what `-o` gives back.
 * A cell after sealed code (`-c`) is not looked at: which names that defines is its owner's secret.
 */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILSPCodeExtractorsManager, type IExtractedCode, type IForeignCodeExtractor } from '@jupyterlab/lsp';
import { magicOf } from './saved';

const FOUND_BY_EACH = { pd: 'import pandas as pd', np: 'import numpy as np' };
const NAME = /^[A-Za-z_]\w*$/;

interface ILine {
  readonly tables: readonly string[];
  readonly parameters: readonly string[];
  readonly outputs: readonly string[];
  /** Sealed code runs before it. */
  readonly sealed: boolean;
}

/** What a magic's line names. Options that are not read here do not matter to a language server. */
function readLine(line: string): ILine {
  const words = line.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  const values = (short: string, long: string) =>
    words.flatMap((word, at) => {
      if (word === short || word === long) {
        return [words[at + 1] ?? ''];
      }
      return word.startsWith(`${long}=`) ? [word.slice(long.length + 1)] : /^-\w/.test(word) && word.startsWith(short) ? [word.slice(short.length)] : [];
    });
  const names = (found: readonly string[]) => [...new Set(found.filter(one => NAME.test(one)))];
  return {
    tables: names(values('-i', '--input').map(aliasOf)),
    parameters: names(values('-p', '--parameter').map(one => unquoted(one).split('=', 1)[0] ?? '')),
    outputs: names(values('-o', '--output').map(unquoted)),
    sealed: values('-c', '--code').length > 0
  };
}

/** `owner/asset=alias:columns` as the variable that the cell finds. */
function aliasOf(text: string): string {
  const scheme = /^(?:sha256:|did:key:)/.exec(unquoted(text))?.[0] ?? '';
  const [head = ''] = unquoted(text).slice(scheme.length).split(':', 1);
  const [name = '', alias] = head.split('=');
  return alias ?? (name.split('/').pop() ?? '').replace(/[-.]/g, '_');
}

function unquoted(text: string): string {
  return text.replace(/["']/g, '');
}

class BodyExtractor implements IForeignCodeExtractor {
  readonly language = 'python';
  readonly fileExtension = 'py';
  readonly cellType = ['code'];
  /** Cells of a session find what cells before them made; so all stand in one document, one after the other. */
  readonly standalone = false;

  hasForeignCode(code: string, cellType: string): boolean {
    return cellType === 'code' && magicOf(code) !== null && !readLine(parts(code).line).sealed;
  }

  extractForeignCode(code: string): IExtractedCode[] {
    const { before, line, body } = parts(code);
    const { tables, parameters, outputs } = readLine(line);
    const frames = tables.map(name => `${name} = pd.DataFrame()`);
    // what is not used would be a warning
    const imports = Object.entries(FOUND_BY_EACH).filter(([name]) => new RegExp(`\\b${name}\\b`).test(`${frames.join()} ${body}`));
    const defined = [...imports.map(([, text]) => text), ...frames, ...parameters.map(anything)];
    const foreignCode = `${before}${defined.join('; ')}\n${body}`;
    const lines = code.split('\n');
    const end = { line: lines.length - 1, column: (lines[lines.length - 1] ?? '').length };
    return [{ foreignCode, range: { start: { line: 0, column: 0 }, end }, virtualShift: null, hostCode: outputs.map(anything).join('; ') }];
  }
}

/** A value that may be of any type. */
function anything(name: string): string {
  return `${name} = globals()["${name}"]`;
}

/** Empty lines, the magic's line, and what is below it. */
function parts(code: string): { readonly before: string; readonly line: string; readonly body: string } {
  const before = /^(?:[^\S\n]*\n)*/.exec(code)?.[0] ?? '';
  const [line = '', ...body] = code.slice(before.length).split('\n');
  return { before, line, body: body.join('\n') };
}

export const lspPlugin: JupyterFrontEndPlugin<void> = {
  id: 'sls-jupyter:lsp',
  description: 'Remote cells are Python to a language server.',
  autoStart: true,
  optional: [ILSPCodeExtractorsManager],
  activate: (_: JupyterFrontEnd, manager: ILSPCodeExtractorsManager | null): void => {
    manager?.register(new BodyExtractor(), 'python');
  }
};
