"use strict";(self.rspackChunksls_jupyter=self.rspackChunksls_jupyter||[]).push([["style_index_js"],{"./node_modules/css-loader/dist/cjs.js!./style/base.css"(s,e,l){var o=l("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),t=l.n(o),i=l("./node_modules/css-loader/dist/runtime/api.js"),a=(l.n(i))()(t());a.push([s.id,`/* The panel, its tabs, lists, forms and buttons. Nothing here is wider than its place; only code scrolls, within itself. */

.sls-panel,
.sls-ui,
.sls-dialog {
  font-family: var(--sls-font);
  font-size: var(--sls-size);
  line-height: 1.45;
  color: var(--sls-ink);
  overflow-wrap: anywhere;
}

.sls-panel {
  display: flex;
  flex-direction: column;
  height: 100%;
  min-width: 0;
  background: var(--sls-ground);
}

:is(.sls-panel, .sls-ui, .sls-dialog) *,
:is(.sls-panel, .sls-ui, .sls-dialog) {
  box-sizing: border-box;
}

:is(.sls-panel, .sls-ui, .sls-dialog) :is(p, ul, ol) {
  margin: 4px 0;
}
:is(.sls-panel, .sls-ui, .sls-dialog) :is(ul, ol) {
  padding-left: 20px;
}
:is(.sls-panel, .sls-ui, .sls-dialog) :is(h2, h3, h4, h5) {
  margin: 12px 0 4px;
  padding: 0;
  font-size: var(--sls-size);
  font-weight: 600;
  line-height: 1.4;
  color: inherit;
}
:is(.sls-panel, .sls-ui, .sls-dialog) code {
  padding: 0;
  font-family: var(--sls-code-font);
  font-size: 0.92em;
  background: none;
  color: inherit;
  white-space: normal;
}
:is(.sls-panel, .sls-ui, .sls-dialog) [hidden] {
  display: none !important;
}
:is(.sls-panel, .sls-ui, .sls-dialog) :focus-visible {
  outline: 2px solid var(--sls-focus);
  outline-offset: 1px;
}
:is(.sls-panel, .sls-ui, .sls-dialog) summary {
  padding: 2px 0;
  cursor: pointer;
}
:is(.sls-panel, .sls-ui, .sls-dialog) :is(p, li, dd, td, bdi) {
  unicode-bidi: isolate;
}

.sls-sub {
  color: var(--sls-ink-soft);
}

/* What a TEE is, in a word and by its edge: dashed, filled, solid. It stands in the status bar too. */
.sls-mark-word {
  display: inline-block;
  max-width: 100%;
  padding: 0 6px;
  border: 1px solid currentcolor;
  border-radius: 3px;
  color: var(--sls-ink);
  font-size: var(--sls-small);
  font-weight: 600;
  letter-spacing: 0.04em;
  line-height: 1.5;
}
.sls-mark-word.sls-simulated {
  border-style: dashed;
}
.sls-mark-word.sls-exposed {
  border-color: var(--sls-ink);
  background: var(--sls-ink);
  color: var(--sls-ground);
}

.sls-unseen.sls-unseen.sls-unseen {
  position: absolute;
  width: 1px;
  height: 1px;
  min-height: 0;
  margin: 0;
  padding: 0;
  border: 0;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

/* --- the head, the tabs, the panes ------------------------------------------------------------ */

.sls-panel-head {
  display: flex;
  flex-wrap: wrap;
  gap: 4px 8px;
  align-items: center;
  padding: 6px 8px 4px;
}
.sls-panel-head > .sls-mark-word {
  margin-left: 4px;
}
.sls-panel-head:empty {
  padding: 0;
}
.sls-persona {
  display: inline-flex;
  flex-wrap: wrap;
  gap: 0 8px;
  align-items: baseline;
  min-width: 0;
  max-width: 100%;
  padding: 2px 4px;
  border: 0;
  border-radius: 3px;
  background: none;
  color: inherit;
  font: inherit;
  text-align: left;
  cursor: pointer;
}
.sls-persona::after {
  content: '▾' / '';
  color: var(--sls-ink-soft);
}
.sls-persona:hover {
  background: var(--sls-hover);
}
.sls-notice {
  padding: 0 12px;
}
.sls-tabs {
  display: flex;
  flex: none;
  flex-wrap: wrap;
  padding: 0 4px;
  border-bottom: 1px solid var(--sls-line);
}
.sls-tab {
  min-height: 28px;
  padding: 4px 8px 3px;
  border: 0;
  border-bottom: 3px solid transparent;
  background: none;
  color: var(--sls-ink-soft);
  font: inherit;
  cursor: pointer;
}
.sls-tab:hover {
  background: var(--sls-hover);
  color: var(--sls-ink);
}
.sls-tab[aria-selected='true'] {
  border-bottom-color: var(--sls-brand);
  color: var(--sls-ink);
}
.sls-panel .sls-tab:focus-visible {
  outline-offset: -3px;
}
.sls-pane {
  position: relative;
  flex: 1;
  min-height: 0;
  overflow: hidden auto;
  container-type: inline-size;
}
.sls-panel .sls-pane:focus-visible {
  outline-offset: -2px;
}
.sls-section {
  height: 100%;
}
.sls-waits .sls-section {
  opacity: 0.6;
}
.sls-pad {
  padding: 8px 12px;
}

/* --- a list, and what is opened of it --------------------------------------------------------- */

.sls-split {
  position: relative;
  height: 100%;
}
.sls-master,
.sls-detail {
  height: 100%;
  overflow: hidden auto;
  container-type: inline-size;
}
.sls-detail {
  padding: 8px 12px 24px;
}
.sls-panel .sls-detail:focus-visible {
  outline-offset: -2px;
}
.sls-split.sls-open > .sls-detail {
  position: absolute;
  inset: 0;
  background: var(--sls-ground);
}
.sls-split.sls-open > .sls-master {
  visibility: hidden; /* and keeps its place in the list */
}
.sls-toolbar {
  display: flex;
  padding: 8px 12px;
}
.sls-toolbar > input {
  flex: 1;
  min-width: 0;
}
.sls-before,
.sls-more,
.sls-master > .sls-said {
  padding: 0 12px;
}
.sls-more > * {
  margin: 8px 0;
}
.sls-none {
  color: var(--sls-ink-soft);
}
.sls-help-button.sls-help-button {
  float: right;
  margin: 8px 12px 0 -4px;
  padding: 2px 8px;
}
.sls-list-heading.sls-list-heading.sls-list-heading {
  margin: 0;
  padding: 8px 12px 4px;
  color: var(--sls-ink-soft);
  font-size: var(--sls-small);
  letter-spacing: 0.02em;
}
.sls-rows.sls-rows.sls-rows {
  margin: 0;
  padding: 0;
  list-style: none;
}
.sls-rows > li {
  border-bottom: 1px solid var(--sls-line);
  content-visibility: auto;
  contain-intrinsic-size: auto 72px;
}
.sls-rows > li:first-child {
  border-top: 1px solid var(--sls-line);
}
.sls-row-button {
  display: block;
  width: 100%;
  padding: 6px 12px 7px 9px;
  border: 0;
  border-left: 3px solid var(--sls-tone, transparent);
  border-radius: 0;
  background: none;
  color: inherit;
  font: inherit;
  text-align: left;
  cursor: pointer;
}
.sls-row-button:hover {
  background: var(--sls-hover);
}
.sls-row-button[aria-current='true'] {
  border-left-color: var(--sls-brand);
  background: var(--sls-hover);
}
.sls-list .sls-row-button:focus-visible {
  outline-offset: -2px;
}
/* A row is made of phrases: what stands at its head, a name, what it is about, and its foot. */
.sls-row-button > * {
  display: block;
  min-width: 0;
}
.sls-row-button > .sls-row-head,
.sls-row-button > .sls-row-foot,
.sls-session > .sls-row-head {
  display: flex;
  flex-wrap: wrap;
  gap: 2px 8px;
  align-items: baseline;
}
.sls-row-who {
  flex: 1 1 7em;
  min-width: 0;
}
.sls-row-age {
  margin-left: auto;
  color: var(--sls-ink-soft);
  font-size: var(--sls-small);
  white-space: nowrap;
}
.sls-row-button > .sls-row-about {
  display: -webkit-box;
  overflow: hidden;
  -webkit-box-orient: vertical;
  -webkit-line-clamp: 2;
}
.sls-row-foot {
  margin-top: 3px;
  color: var(--sls-ink-soft);
  font-size: 0.92em;
}
.sls-row-why {
  font-weight: 600;
}

@container (min-width: 720px) {
  .sls-split.sls-open {
    display: grid;
    grid-template-columns: minmax(240px, 2fr) minmax(0, 5fr);
  }
  .sls-split.sls-open > .sls-master {
    border-right: 1px solid var(--sls-line);
    visibility: visible;
  }
  .sls-split.sls-open > .sls-detail {
    position: static;
  }
  .sls-detail > .sls-detail-body {
    max-width: 880px;
  }
}

/* --- what is pressed and written in ----------------------------------------------------------- */

.sls-button {
  display: inline-block;
  max-width: 100%;
  min-height: 26px;
  padding: 2px 12px;
  border: 1px solid var(--sls-edge);
  border-radius: 3px;
  background: none;
  color: var(--sls-ink);
  font: inherit;
  line-height: 20px;
  overflow-wrap: anywhere;
  cursor: pointer;
}
.sls-button:hover:not(:disabled) {
  background: var(--sls-hover);
}
.sls-button:disabled {
  opacity: 0.5;
  cursor: default;
}
.sls-button.sls-primary {
  border-color: var(--sls-accept);
  background: var(--sls-accept);
  color: #fff;
}
.sls-button.sls-primary:hover:not(:disabled) {
  background: var(--sls-accept-hover);
}
.sls-button.sls-danger {
  border-color: var(--sls-danger);
  background: var(--sls-danger);
  color: #fff;
}
.sls-button.sls-quiet,
.sls-button.sls-back {
  border-color: transparent;
}
.sls-button.sls-back {
  margin: -4px 0 4px -8px;
  padding: 2px 8px;
}
.sls-buttons,
.sls-bar {
  display: flex;
  flex-wrap: wrap;
  gap: 8px;
  align-items: center;
  margin: 8px 0;
}
:is(.sls-panel, .sls-ui, .sls-dialog) :is(input:not([type='radio'], [type='checkbox'], [type='file']), textarea, select) {
  display: block;
  width: 100%;
  min-height: 26px;
  margin: 0;
  padding: 3px 8px;
  border: 1px solid var(--sls-edge);
  border-radius: 3px;
  background: var(--sls-raised);
  color: var(--sls-ink);
  font: inherit;
}
:is(.sls-panel, .sls-ui, .sls-dialog) input[type='file'] {
  width: 100%;
  color: inherit;
  font: inherit;
}
:is(.sls-panel, .sls-ui, .sls-dialog) textarea {
  resize: vertical;
}
:is(.sls-panel, .sls-ui, .sls-dialog) ::placeholder {
  color: var(--sls-ink-soft);
  opacity: 1;
}
:is(.sls-panel, .sls-ui, .sls-dialog) [aria-invalid='true'] {
  border: 2px solid var(--sls-bad);
}
.sls-field {
  margin: 8px 0;
}
.sls-field > label {
  display: block;
  margin-bottom: 2px;
  font-weight: 600;
}
.sls-field > .sls-help {
  display: block;
  margin: 3px 0 0;
  line-height: 1.4;
  color: var(--sls-ink-soft);
  font-size: var(--sls-small);
}
.sls-field > .sls-wrong {
  margin: 2px 0 0;
  font-weight: 600;
}
.sls-choice {
  display: flex;
  gap: 8px;
  align-items: baseline;
  padding: 3px 0;
}
.sls-choice > span {
  min-width: 0;
}
.sls-dialog fieldset {
  margin: 8px 0;
  padding: 0;
  border: 0;
}
.sls-dialog legend {
  padding: 0;
  font-weight: 600;
}
.sls-dialog {
  width: min(520px, 80vw);
}
.sls-keys {
  display: grid;
  grid-template-columns: max-content minmax(0, 1fr);
  gap: 4px 12px;
}
.sls-keys > dd {
  margin: 0;
}
.sls-panel kbd,
.sls-dialog kbd {
  padding: 0 5px;
  border: 1px solid var(--sls-edge);
  border-radius: 3px;
  background: none;
  color: inherit;
  font: 0.92em var(--sls-code-font);
}

/* --- people ----------------------------------------------------------------------------------- */

.sls-people {
  padding: 4px 12px 24px;
}
.sls-people > .sls-said {
  padding: 0;
}
.sls-people .sls-more {
  padding: 0;
}
.sls-people .sls-toolbar {
  padding: 4px 0 8px;
}
.sls-persons.sls-persons.sls-persons {
  margin: 0;
  padding: 0;
  list-style: none;
}
.sls-persons > li {
  padding: 6px 0;
  border-top: 1px solid var(--sls-line);
}
.sls-persons > li:last-child {
  border-bottom: 1px solid var(--sls-line);
}
.sls-person {
  display: flex;
  flex-wrap: wrap;
  gap: 4px 8px;
  align-items: center;
}
.sls-person-name {
  flex: 1 1 9em;
  min-width: 0;
}
.sls-compare[open] {
  padding-bottom: 8px;
}
.sls-aloud.sls-aloud.sls-aloud {
  overflow-wrap: normal;
  word-spacing: 0.3em;
}

/* --- a request and its decision --------------------------------------------------------------- */

.sls-request h4 > .sls-chip {
  margin-left: 4px;
  font-weight: 600;
}
.sls-asks > p {
  margin-top: 0;
}
.sls-difference {
  margin: 8px 0;
  padding-bottom: 4px;
  border-bottom: 1px solid var(--sls-line);
}
.sls-decision {
  margin: 16px 0 0;
  padding: 4px 12px;
  border: 1px solid var(--sls-edge);
  border-radius: 4px;
}
.sls-outcome {
  margin: 16px 0 0;
}
`,""]),l.d(e,{},{A:a})},"./node_modules/css-loader/dist/cjs.js!./style/cards.css"(s,e,l){var o=l("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),t=l.n(o),i=l("./node_modules/css-loader/dist/runtime/api.js"),a=(l.n(i))()(t());a.push([s.id,`/* Cards drawn from data. The cards of a notebook's outputs bring classes of the same names and a sheet of their own
   (sls_jupyter/notebook/sheet.py), which may be in the same page: the id in each selector, which no element has, lets
   these rules win where a card stands in \`.sls-panel\`, \`.sls-ui\` or \`.sls-dialog\`, and nowhere else. */

:is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) {
  .sls-card {
    max-width: none;
    margin: 8px 0;
    padding: 8px 12px;
    border: 1px solid var(--sls-line);
    border-left: 3px solid var(--sls-tone, var(--sls-plain));
    border-radius: 4px;
    background: var(--sls-raised);
    color: var(--sls-ink);
    font-family: inherit;
    font-size: inherit;
    line-height: inherit;
    container-type: inline-size;
  }
  .sls-head {
    display: flex;
    flex-wrap: wrap;
    gap: 2px 8px;
    align-items: baseline;
    margin: 0 0 4px;
  }
  .sls-card h3 {
    margin: 0;
    font-size: 1.1em;
  }
  .sls-card :is(h4, h5) {
    margin: 12px 0 2px;
    font-size: var(--sls-size);
    opacity: 1;
  }
  .sls-card h5 {
    font-weight: 500;
  }
  .sls-head > h4 {
    margin: 0;
  }
  .sls-sub {
    color: var(--sls-ink-soft);
    opacity: 1;
  }
  details {
    margin: 4px 0;
  }

  /* --- words with an edge --- */

  .sls-chip {
    display: inline-block;
    max-width: 100%;
    padding: 0 7px;
    border: 1px solid var(--sls-tone, var(--sls-plain));
    border-radius: 9px;
    color: var(--sls-ink);
    font-size: var(--sls-small);
    line-height: 1.5;
  }
  .sls-warn {
    margin: 4px 0;
    padding: 3px 8px;
    border: 1px solid var(--sls-tone, var(--sls-plain));
    border-left-width: 3px;
    border-radius: 3px;
    font-weight: 600;
  }
  .sls-warn.sls-note {
    font-weight: 400;
  }

  /* --- facts and tables --- */

  .sls-facts {
    display: grid;
    grid-template-columns: minmax(4em, max-content) minmax(0, 1fr);
    gap: 2px 12px;
    margin: 4px 0;
  }
  .sls-facts > dt {
    float: none;
    width: auto;
    max-width: 14em;
    color: var(--sls-ink-soft);
    font-weight: 400;
    opacity: 1;
  }
  .sls-facts > dd {
    float: none;
    grid-column: 2;
    width: auto;
    min-width: 0;
    margin: 0;
  }
  .sls-table {
    width: 100%;
    margin: 4px 0;
    border-collapse: collapse;
    table-layout: auto;
    font-size: inherit;
  }
  .sls-table :is(th, td) {
    max-width: none;
    padding: 3px 12px 3px 0;
    border: 0;
    border-bottom: 1px solid var(--sls-line);
    background: none;
    color: inherit;
    text-align: left;
    vertical-align: top;
    white-space: normal;
  }
  .sls-table tr {
    background: none;
  }
  .sls-table th {
    color: var(--sls-ink-soft);
    font-size: var(--sls-small);
    font-weight: 600;
    opacity: 1;
    overflow-wrap: normal;
  }
  .sls-table tr > :last-child {
    padding-right: 0;
  }

  .sls-much {
    display: block;
    max-height: 9em;
    overflow: hidden auto;
    padding: 2px 6px;
    border: 1px solid var(--sls-line);
    border-radius: 3px;
  }

  /* --- code --- */

  .sls-code,
  .sls-command {
    margin: 6px 0;
    padding: 4px 0;
    overflow-x: auto;
    border: 1px solid var(--sls-line);
    border-radius: 3px;
    background: var(--sls-code-ground);
    color: var(--sls-ink);
    font: 12px/1.5 var(--sls-code-font);
    overflow-wrap: normal;
    white-space: pre;
  }
  .sls-command {
    padding: 4px 8px;
    overflow-wrap: anywhere;
    white-space: pre-wrap;
  }
  .sls-code {
    display: grid;
    grid-template-columns: minmax(max-content, 1fr);
    unicode-bidi: isolate;
  }
  .sls-code > .sls-row {
    --sls-row: var(--sls-code-ground);
    display: block;
    padding: 0 12px 0 0;
    background: var(--sls-row);
    text-indent: 0;
  }
  .sls-row .sls-no {
    position: sticky;
    left: 0;
    display: inline-block;
    min-width: 5ch;
    padding: 0 4px 0 8px;
    background: var(--sls-row);
    color: var(--sls-ink-soft);
    opacity: 1;
    text-align: right;
    user-select: none;
  }
  .sls-code > .sls-odd {
    --sls-row: color-mix(in srgb, var(--sls-note) 18%, var(--sls-code-ground));
  }
  .sls-diff > .sls-row {
    border-left: 3px solid transparent;
  }
  .sls-diff > .sls-added {
    --sls-row: color-mix(in srgb, var(--sls-good) 14%, var(--sls-code-ground));
    border-left-color: var(--sls-good);
  }
  .sls-diff > .sls-removed {
    --sls-row: color-mix(in srgb, var(--sls-bad) 14%, var(--sls-code-ground));
    border-left-color: var(--sls-bad);
  }
  .sls-diff .sls-nos {
    position: sticky;
    left: 0;
    display: inline-block;
    background: var(--sls-row);
    user-select: none;
  }
  .sls-diff .sls-nos > .sls-no {
    min-width: 4.5ch;
    padding: 0 2px;
  }
  .sls-diff .sls-sign {
    padding: 0 4px;
    font-weight: 600;
  }
  .sls-diff .sls-gap {
    color: var(--sls-ink-soft);
  }
  .sls-tok-mark {
    border: 1px dashed var(--sls-note);
    border-radius: 3px;
    font-weight: 600;
  }
  .sls-tok-keyword {
    color: var(--sls-keyword);
  }
  .sls-tok-string {
    color: var(--sls-string);
  }
  .sls-tok-number {
    color: var(--sls-number);
  }
  .sls-tok-comment {
    color: var(--sls-ink-soft);
    font-style: italic;
  }
  .sls-tok-builtin {
    color: var(--sls-builtin);
  }
  .sls-tok-def {
    color: var(--sls-def);
  }

  /* --- checks, refusals --- */

  .sls-checks > ol,
  .sls-checks > details > ol {
    padding-left: 28px;
  }
  .sls-checks li {
    margin: 4px 0;
  }
  .sls-checks .sls-facts {
    margin: 2px 0 6px;
  }
  .sls-refusal {
    margin: 8px 0;
    padding: 6px 12px;
    border: 1px solid var(--sls-bad);
    border-left-width: 3px;
    border-radius: 4px;
    background: var(--sls-raised);
  }
  .sls-refusal > p:first-child {
    font-weight: 600;
  }
}

/* --- where it is narrow --------------------------------------------------------------------------- */

@container (max-width: 360px) {
  :is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) .sls-facts {
    display: block;
  }
  :is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) .sls-facts > dd {
    margin: 0 0 4px;
  }
  :is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) .sls-diff .sls-nos > .sls-no {
    min-width: 3ch;
  }
}

/* Rows that have no place side by side: each value in a line of its own, behind the name of its column. Columns are
   few (up to three), some (up to five) or many. */
@container (max-width: 340px) {
  :is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) .sls-table.sls-few {
    &,
    > tbody,
    > tbody > tr,
    > tbody > tr > td {
      display: block;
      width: auto;
    }
    > thead {
      position: absolute;
      width: 1px;
      height: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
    > tbody > tr {
      padding: 4px 0;
      border-bottom: 1px solid var(--sls-line);
    }
    > tbody > tr > td {
      padding: 1px 0;
      border: 0;
    }
    > tbody > tr > td:empty {
      display: none;
    }
    > tbody > tr > td::before {
      color: var(--sls-ink-soft);
      content: attr(data-head) ': ';
    }
  }
}
@container (max-width: 500px) {
  :is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) .sls-table.sls-some {
    &,
    > tbody,
    > tbody > tr,
    > tbody > tr > td {
      display: block;
      width: auto;
    }
    > thead {
      position: absolute;
      width: 1px;
      height: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
    > tbody > tr {
      padding: 4px 0;
      border-bottom: 1px solid var(--sls-line);
    }
    > tbody > tr > td {
      padding: 1px 0;
      border: 0;
    }
    > tbody > tr > td:empty {
      display: none;
    }
    > tbody > tr > td::before {
      color: var(--sls-ink-soft);
      content: attr(data-head) ': ';
    }
  }
}
@container (max-width: 700px) {
  :is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) .sls-table.sls-many {
    &,
    > tbody,
    > tbody > tr,
    > tbody > tr > td {
      display: block;
      width: auto;
    }
    > thead {
      position: absolute;
      width: 1px;
      height: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
    > tbody > tr {
      padding: 4px 0;
      border-bottom: 1px solid var(--sls-line);
    }
    > tbody > tr > td {
      padding: 1px 0;
      border: 0;
    }
    > tbody > tr > td:empty {
      display: none;
    }
    > tbody > tr > td::before {
      color: var(--sls-ink-soft);
      content: attr(data-head) ': ';
    }
  }
}
`,""]),l.d(e,{},{A:a})},"./node_modules/css-loader/dist/cjs.js!./style/notebook.css"(s,e,l){var o=l("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),t=l.n(o),i=l("./node_modules/css-loader/dist/runtime/api.js"),a=(l.n(i))()(t());a.push([s.id,`/* The frame of JupyterLab around the panel: status bar, icon, dialogs, and what stands in a notebook. */

.sls-host,
.sls-document-box {
  display: flex;
  flex-direction: column;
  min-width: 280px;
  overflow: auto;
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
}

.sls-document {
  flex: 1;
  border: 0;
  background: white;
}

/* --- the number that waits, on the panel's icon --- */

.lm-TabBar-tab[data-sls-waiting] {
  position: relative;
}

/* the tab's own ::after is JupyterLab's */
.lm-TabBar-tab[data-sls-waiting]::before {
  content: attr(data-sls-waiting);
  position: absolute;
  z-index: 1;
  top: 4px;
  right: 2px;
  width: auto;
  height: 14px;
  min-width: 14px;
  padding: 0 3px;
  box-sizing: border-box;
  border-radius: 7px;
  background: var(--jp-ui-font-color0);
  color: var(--jp-layout-color0);
  font-size: 10px;
  font-weight: 600;
  line-height: 14px;
  text-align: center;
  pointer-events: none;
}

/* --- status bar --- */

.sls-status-item {
  display: flex;
  align-items: center;
}

.sls-status {
  height: 100%;
  padding: 0 6px;
  border: 0;
  background: none;
  color: inherit;
  font: inherit;
  white-space: pre;
  cursor: pointer;
}

.sls-status:hover {
  background: var(--jp-layout-color3);
}

.sls-status:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: -2px;
}

.sls-status .sls-mark-word {
  padding: 0 4px;
  line-height: 16px;
}

.sls-status .sls-waiting {
  font-weight: 700;
}

/* --- dialogs --- */

.sls-dialog-box .jp-Dialog-content {
  max-width: min(1060px, 96vw);
}

.sls-dialog {
  max-height: 70vh;
  overflow: auto;
}

/* --- cells that run elsewhere: an edge, and a line beneath --- */

.jp-Cell:is(.sls-remote-cell, #sls-none) > .jp-Cell-inputWrapper .jp-InputArea-editor {
  border-left: 3px solid var(--jp-brand-color1);
}

.jp-Cell:is(.sls-seal-cell, #sls-none) > .jp-Cell-inputWrapper .jp-InputArea-editor {
  border-left: 3px dotted var(--jp-brand-color1);
}

.sls-cell-line {
  display: flex;
  flex-wrap: wrap;
  align-items: baseline;
  gap: 2px 12px;
  padding: 2px 0 2px calc(var(--jp-cell-prompt-width) + var(--jp-cell-collapser-width) + 4px);
  color: var(--jp-ui-font-color1);
  font-family: var(--jp-ui-font-family);
  font-size: var(--jp-ui-font-size1);
  line-height: 1.5;
}

.sls-line-words {
  flex: 1 1 20em;
  overflow-wrap: anywhere;
}

.sls-cell-line[aria-busy='true'] .sls-line-words {
  opacity: 0.75;
}

.sls-line-buttons {
  display: flex;
  flex-wrap: wrap;
  gap: 4px;
}

.sls-cell-line .sls-button {
  padding: 0 6px;
  font-size: var(--jp-ui-font-size0);
  line-height: 18px;
}

/* --- how many verify, in the toolbar --- */

.sls-verified-button {
  border: 0;
  background: none;
}

.sls-verified-list {
  margin: 0;
  padding: 0;
  list-style: none;
}

.sls-verified-list li + li {
  margin-top: 8px;
  border-top: var(--jp-border-width) solid var(--jp-border-color2);
  padding-top: 8px;
}

.sls-receipt-page {
  padding: 12px;
}
`,""]),l.d(e,{},{A:a})},"./node_modules/css-loader/dist/cjs.js!./style/sections.css"(s,e,l){var o=l("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),t=l.n(o),i=l("./node_modules/css-loader/dist/runtime/api.js"),a=(l.n(i))()(t());a.push([s.id,`/* Runs, assets and receipts, and the dialogs that belong to them. */

/* --- above a list ------------------------------------------------------------------------------ */

.sls-top {
  padding: 8px 12px 0;
}

/* --- what is open ------------------------------------------------------------------------------ */

.sls-detail-body > :first-child {
  margin-top: 0;
}

.sls-detail-body > .sls-head > h3 {
  margin: 0;
  font-size: 1.25em;
}

/* --- rows -------------------------------------------------------------------------------------- */

.sls-row-now {
  display: block;
  font-style: italic;
}

/* --- sessions ---------------------------------------------------------------------------------- */

.sls-before .sls-list-heading.sls-list-heading.sls-list-heading {
  padding: 8px 0 4px;
}
.sls-sessions.sls-sessions.sls-sessions {
  margin: 0;
  padding: 0;
  list-style: none;
}
.sls-session {
  display: grid;
  grid-template-columns: minmax(0, 1fr) auto;
  gap: 0 8px;
  align-items: center;
  padding: 6px 0;
  border-top: 1px solid var(--sls-line);
}
.sls-session > span {
  grid-column: 1;
}
.sls-session > .sls-button {
  grid-column: 2;
  grid-row: 1 / span 3;
}

/* --- the steps of a run ------------------------------------------------------------------------ */

.sls-steps.sls-steps.sls-steps {
  margin: 8px 0;
  padding: 0;
  list-style: none;
}
.sls-step {
  display: grid;
  grid-template-columns: 1.2em minmax(0, 7.5em) 4.5em minmax(0, 1fr);
  gap: 0 8px;
  align-items: baseline;
  padding: 2px 0;
}
.sls-step-sign {
  font-weight: 600;
  text-align: center;
}
.sls-step-took {
  text-align: right;
  white-space: nowrap;
  font-variant-numeric: tabular-nums;
}
.sls-step-took,
.sls-step-found,
.sls-step-waiting {
  color: var(--sls-ink-soft);
}
.sls-step-found {
  min-width: 0;
}
:is(.sls-steps, #sls-none) .sls-step-found {
  margin: 0;
}
:is(.sls-steps, #sls-none) .sls-step-found > summary {
  padding: 0;
}
.sls-step-done > .sls-step-sign {
  color: var(--sls-good);
}
.sls-step-active > .sls-step-sign {
  color: var(--sls-wait);
}
.sls-step-active > .sls-step-name {
  font-weight: 600;
}
.sls-step-failed > .sls-step-sign,
.sls-step-failed > .sls-step-name {
  color: var(--sls-bad);
  font-weight: 600;
}
.sls-evidence {
  overflow-wrap: anywhere;
}
.sls-summary {
  font-weight: 600;
}
@container (max-width: 420px) {
  .sls-step {
    grid-template-columns: 1.2em minmax(0, 1fr) auto;
  }
  .sls-step-found {
    grid-column: 2 / -1;
  }
}

.sls-ask {
  display: grid;
  grid-template-columns: minmax(0, 1fr) auto;
  gap: 4px 8px;
  align-items: start;
  margin: 8px 0 0;
}
.sls-ask > .sls-sub {
  grid-column: 1 / -1;
}
.sls-ask-line.sls-ask-line.sls-ask-line {
  padding: 4px 8px;
  border: 1px solid var(--sls-line);
  border-radius: 3px;
  background: var(--sls-code-ground);
}

/* --- what would happen to a cell over an asset ------------------------------------------------- */

.sls-outlook {
  margin: 8px 0;
  padding: 6px 12px;
  border-left: 3px solid var(--sls-tone);
}
:is(.sls-outlook, #sls-none) > .sls-chip {
  padding: 0;
  border: 0;
  font-size: inherit;
  font-weight: 600;
}

/* --- the columns of a table: sign and word say which can be granted --- */

.sls-columns.sls-columns.sls-columns {
  margin: 0;
  padding: 0;
  list-style: none;
}
.sls-columns > li {
  display: flex;
  flex-wrap: wrap;
  gap: 2px 10px;
  align-items: baseline;
  padding: 3px 0;
  border-bottom: 1px solid var(--sls-line);
}
.sls-columns > li > .sls-chip {
  margin-left: auto;
}

/* --- receipts ---------------------------------------------------------------------------------- */

.sls-drop {
  margin: 8px 12px;
  padding: 16px 12px;
  border: 2px dashed var(--sls-edge);
  border-radius: 4px;
  text-align: center;
}
.sls-over-it {
  border-style: solid;
  border-color: var(--sls-brand);
  background: var(--sls-hover);
}
.sls-verdict {
  margin: 4px 0 12px;
  padding: 12px 16px;
  border: 2px solid var(--sls-tone);
  border-left-width: 8px;
  border-radius: 4px;
}
.sls-verdict.sls-dashed {
  border-style: dashed;
  border-left-style: solid;
}
.sls-receipt[aria-busy='true'] > * {
  opacity: 0.6;
}
.sls-verdict > p.sls-verdict-word {
  margin: 0;
  color: var(--sls-tone);
  font-size: 1.8em;
  font-weight: 700;
  letter-spacing: 0.04em;
  line-height: 1.2;
}
.sls-verdict > p.sls-verdict-why {
  font-weight: 600;
}
.sls-verdict > p.sls-verdict-file {
  margin: 0;
  color: var(--sls-ink-soft);
}
.sls-verdict.sls-bad > p.sls-verdict-word {
  margin: -12px -16px 8px;
  padding: 10px 16px;
  background: #b3261e;
  color: #fff;
}
.sls-expect {
  margin: 12px 0;
}
.sls-pins.sls-pins {
  margin: 8px 0;
  padding: 0;
  border: 0;
}
.sls-pins > legend {
  padding: 0;
  font-weight: 600;
}
.sls-tick {
  display: grid;
  grid-template-columns: auto minmax(0, 1fr);
  gap: 0 8px;
  align-items: start;
  padding: 3px 0;
}
.sls-tick > .sls-help {
  grid-column: 2;
  color: var(--sls-ink-soft);
  font-size: var(--sls-small);
}

/* --- the dialog that writes a cell that seals -------------------------------------------------- */

.sls-dialog:has(.sls-seal) {
  width: min(980px, 88vw);
}
.sls-seal {
  display: grid;
  grid-template-columns: minmax(0, 1fr);
  gap: 8px 24px;
}
.sls-options {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 160px), 1fr));
  gap: 0 16px;
}
.sls-seal .sls-help {
  display: block;
  line-height: 1.35;
}
.sls-seal .sls-field > label::first-letter {
  text-transform: uppercase;
}
.sls-seal .sls-ticks > legend {
  margin-bottom: 2px;
}
.sls-seal .sls-ticks > legend::first-letter {
  text-transform: uppercase;
}
.sls-ticks-box {
  display: flex;
  flex-wrap: wrap;
  gap: 0 16px;
  max-height: 10em;
  overflow-y: auto;
}
@media (min-width: 800px) {
  .sls-seal {
    grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
  }
  .sls-preview {
    position: sticky;
    top: 0;
    align-self: start;
  }
}
.sls-preview {
  padding: 0 12px 8px;
  border: 1px solid var(--sls-line);
  border-radius: 4px;
  background: var(--sls-raised);
}
.sls-preview .sls-changes.sls-changes {
  padding: 0;
  list-style: none;
}
.sls-changes > li {
  padding-left: 1.2em;
  text-indent: -1.2em;
}
.sls-preview[aria-busy='true'] > .sls-preview-body {
  opacity: 0.7;
}
`,""]),l.d(e,{},{A:a})},"./node_modules/css-loader/dist/cjs.js!./style/tokens.css"(s,e,l){var o=l("./node_modules/css-loader/dist/runtime/noSourceMaps.js"),t=l.n(o),i=l("./node_modules/css-loader/dist/runtime/api.js"),a=(l.n(i))()(t());a.push([s.id,`/* The colours and measures of everything that is drawn here: JupyterLab's own, with a fallback for each. */

/* Cards of a notebook's outputs set some of these names on their own cards: they are set anew on those of the panel. */

:root,
:is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) .sls-card {
  --sls-ink: var(--jp-ui-font-color1, #1f2328);
  --sls-ink-soft: color-mix(in srgb, var(--sls-ink) 80%, transparent); /* still 7 : 1 */
  --sls-ground: var(--jp-layout-color1, #fff);
  --sls-raised: var(--jp-layout-color0, #fff);
  --sls-hover: color-mix(in srgb, var(--sls-ink) 7%, transparent);
  --sls-line: var(--jp-border-color2, #d9dde2);
  --sls-edge: var(--jp-inverse-border-color, #757575); /* of what is pressed or written in: 3 : 1 */
  --sls-brand: var(--jp-brand-color1, #1976d2);
  --sls-accept: var(--jp-accept-color-normal, #1976d2);
  --sls-accept-hover: var(--jp-accept-color-hover, #1565c0);
  --sls-danger: var(--jp-warn-color-normal, #d32f2f);
  --sls-focus: var(--jp-focus-outline-color, #1976d2);
  --sls-good: var(--jp-success-color1, #1a7f37);
  --sls-bad: var(--jp-error-color1, #c4232d);
  --sls-wait: var(--jp-info-color1, #0969da);
  --sls-note: var(--jp-warn-color1, #9a6700);
  --sls-plain: color-mix(in srgb, var(--sls-ink) 45%, transparent);
  --sls-font: var(--jp-ui-font-family, system-ui, sans-serif);
  --sls-size: var(--jp-ui-font-size1, 13px);
  --sls-small: 0.85em;
  --sls-code-font: var(--jp-code-font-family, ui-monospace, monospace);
  --sls-code-ground: var(--sls-raised);
  --sls-keyword: #00697a;
  --sls-string: #a8311c;
  --sls-number: #3d6b1f;
  --sls-builtin: #6b3fa0;
  --sls-def: #1f5fbf;
}

[data-jp-theme-light='false'],
[data-jp-theme-light='false'] :is(.sls-panel, .sls-ui, .sls-dialog, #sls-none) .sls-card {
  --sls-keyword: #5ccfe6;
  --sls-string: #f2a38f;
  --sls-number: #a5d185;
  --sls-builtin: #cfa8ff;
  --sls-def: #86b6ff;
}

.sls-good {
  --sls-tone: var(--sls-good);
}
.sls-bad {
  --sls-tone: var(--sls-bad);
}
.sls-wait {
  --sls-tone: var(--sls-wait);
}
.sls-note {
  --sls-tone: var(--sls-note);
}
.sls-plain {
  --sls-tone: var(--sls-plain);
}
`,""]),l.d(e,{},{A:a})},"./node_modules/css-loader/dist/runtime/api.js"(s){s.exports=function(s){var e=[];return e.toString=function(){return this.map(function(e){var l="",o=void 0!==e[5];return e[4]&&(l+="@supports (".concat(e[4],") {")),e[2]&&(l+="@media ".concat(e[2]," {")),o&&(l+="@layer".concat(e[5].length>0?" ".concat(e[5]):""," {")),l+=s(e),o&&(l+="}"),e[2]&&(l+="}"),e[4]&&(l+="}"),l}).join("")},e.i=function(s,l,o,t,i){"string"==typeof s&&(s=[[null,s,void 0]]);var a={};if(o)for(var r=0;r<this.length;r++){var n=this[r][0];null!=n&&(a[n]=!0)}for(var d=0;d<s.length;d++){var p=[].concat(s[d]);o&&a[p[0]]||(void 0!==i&&(void 0===p[5]||(p[1]="@layer".concat(p[5].length>0?" ".concat(p[5]):""," {").concat(p[1],"}")),p[5]=i),l&&(p[2]&&(p[1]="@media ".concat(p[2]," {").concat(p[1],"}")),p[2]=l),t&&(p[4]?(p[1]="@supports (".concat(p[4],") {").concat(p[1],"}"),p[4]=t):p[4]="".concat(t)),e.push(p))}},e}},"./node_modules/css-loader/dist/runtime/noSourceMaps.js"(s){s.exports=function(s){return s[1]}},"./node_modules/style-loader/dist/runtime/injectStylesIntoStyleTag.js"(s){var e=[];function l(s){for(var l=-1,o=0;o<e.length;o++)if(e[o].identifier===s){l=o;break}return l}function o(s,o){for(var t={},i=[],a=0;a<s.length;a++){var r=s[a],n=o.base?r[0]+o.base:r[0],d=t[n]||0,p="".concat(n," ").concat(d);t[n]=d+1;var c=l(p),u={css:r[1],media:r[2],sourceMap:r[3],supports:r[4],layer:r[5]};if(-1!==c)e[c].references++,e[c].updater(u);else{var g=function(s,e){var l=e.domAPI(e);return l.update(s),function(e){e?(e.css!==s.css||e.media!==s.media||e.sourceMap!==s.sourceMap||e.supports!==s.supports||e.layer!==s.layer)&&l.update(s=e):l.remove()}}(u,o);o.byIndex=a,e.splice(a,0,{identifier:p,updater:g,references:1})}i.push(p)}return i}s.exports=function(s,t){var i=o(s=s||[],t=t||{});return function(s){s=s||[];for(var a=0;a<i.length;a++){var r=l(i[a]);e[r].references--}for(var n=o(s,t),d=0;d<i.length;d++){var p=l(i[d]);0===e[p].references&&(e[p].updater(),e.splice(p,1))}i=n}}},"./node_modules/style-loader/dist/runtime/insertBySelector.js"(s){var e={};s.exports=function(s,l){var o=function(s){if(void 0===e[s]){var l=document.querySelector(s);if(window.HTMLIFrameElement&&l instanceof window.HTMLIFrameElement)try{l=l.contentDocument.head}catch(s){l=null}e[s]=l}return e[s]}(s);if(!o)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");o.appendChild(l)}},"./node_modules/style-loader/dist/runtime/insertStyleElement.js"(s){s.exports=function(s){var e=document.createElement("style");return s.setAttributes(e,s.attributes),s.insert(e,s.options),e}},"./node_modules/style-loader/dist/runtime/setAttributesWithoutAttributes.js"(s,e,l){s.exports=function(s){var e=l.nc;e&&s.setAttribute("nonce",e)}},"./node_modules/style-loader/dist/runtime/styleDomAPI.js"(s){s.exports=function(s){if("u"<typeof document)return{update:function(){},remove:function(){}};var e=s.insertStyleElement(s);return{update:function(l){var o,t,i;o="",l.supports&&(o+="@supports (".concat(l.supports,") {")),l.media&&(o+="@media ".concat(l.media," {")),(t=void 0!==l.layer)&&(o+="@layer".concat(l.layer.length>0?" ".concat(l.layer):""," {")),o+=l.css,t&&(o+="}"),l.media&&(o+="}"),l.supports&&(o+="}"),(i=l.sourceMap)&&"u">typeof btoa&&(o+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(i))))," */")),s.styleTagTransform(o,e,s.options)},remove:function(){var s;null===(s=e).parentNode||s.parentNode.removeChild(s)}}}},"./node_modules/style-loader/dist/runtime/styleTagTransform.js"(s){s.exports=function(s,e){if(e.styleSheet)e.styleSheet.cssText=s;else{for(;e.firstChild;)e.removeChild(e.firstChild);e.appendChild(document.createTextNode(s))}}},"./style/index.js"(s,e,l){var o=l("./node_modules/style-loader/dist/runtime/injectStylesIntoStyleTag.js"),t=l.n(o),i=l("./node_modules/style-loader/dist/runtime/styleDomAPI.js"),a=l.n(i),r=l("./node_modules/style-loader/dist/runtime/insertBySelector.js"),n=l.n(r),d=l("./node_modules/style-loader/dist/runtime/setAttributesWithoutAttributes.js"),p=l.n(d),c=l("./node_modules/style-loader/dist/runtime/insertStyleElement.js"),u=l.n(c),g=l("./node_modules/style-loader/dist/runtime/styleTagTransform.js"),m=l.n(g),f=l("./node_modules/css-loader/dist/cjs.js!./style/tokens.css"),h={};h.styleTagTransform=m(),h.setAttributes=p(),h.insert=n().bind(null,"head"),h.domAPI=a(),h.insertStyleElement=u(),t()(f.A,h),f.A&&f.A.locals&&f.A.locals;var x=l("./node_modules/css-loader/dist/cjs.js!./style/base.css"),b={};b.styleTagTransform=m(),b.setAttributes=p(),b.insert=n().bind(null,"head"),b.domAPI=a(),b.insertStyleElement=u(),t()(x.A,b),x.A&&x.A.locals&&x.A.locals;var v=l("./node_modules/css-loader/dist/cjs.js!./style/cards.css"),w={};w.styleTagTransform=m(),w.setAttributes=p(),w.insert=n().bind(null,"head"),w.domAPI=a(),w.insertStyleElement=u(),t()(v.A,w),v.A&&v.A.locals&&v.A.locals;var y=l("./node_modules/css-loader/dist/cjs.js!./style/notebook.css"),k={};k.styleTagTransform=m(),k.setAttributes=p(),k.insert=n().bind(null,"head"),k.domAPI=a(),k.insertStyleElement=u(),t()(y.A,k),y.A&&y.A.locals&&y.A.locals;var j=l("./node_modules/css-loader/dist/cjs.js!./style/sections.css"),A={};A.styleTagTransform=m(),A.setAttributes=p(),A.insert=n().bind(null,"head"),A.domAPI=a(),A.insertStyleElement=u(),t()(j.A,A),j.A&&j.A.locals&&j.A.locals}}]);