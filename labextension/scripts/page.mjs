// The panel as a page of its own: panel.js, and beside it panel.css, its style sheets one after the other.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { rspack } from '@rspack/core';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const config = createRequire(import.meta.url)(join(root, 'page.config.js'));
const SHEETS = ['tokens.css', 'base.css', 'cards.css', 'sections.css', 'page.css'];

rspack({ ...config, context: root }, (error, stats) => {
  if (error || stats.hasErrors()) {
    console.error(error ?? stats.toString('errors-only'));
    process.exit(1);
  }
  const sheets = SHEETS.map(name => readFileSync(join(root, 'style', name), 'utf8'));
  writeFileSync(join(config.output.path, 'panel.css'), sheets.join('\n'));
});
