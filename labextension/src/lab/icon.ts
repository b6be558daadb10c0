/** A shield with a stream in it. */

import { LabIcon } from '@jupyterlab/ui-components';

const SHIELD = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">
  <g class="jp-icon3" stroke="#616161" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">
    <path fill="none" d="M12 2.5 4.5 5.3v6c0 4.8 3.1 8.4 7.5 10.2 4.4-1.8 7.5-5.4 7.5-10.2v-6Z"/>
    <path fill="none" d="M8 10.2c1.3-1.2 2.7-1.2 4 0s2.7 1.2 4 0"/>
    <path fill="none" d="M8 14.2c1.3-1.2 2.7-1.2 4 0s2.7 1.2 4 0"/>
  </g>
</svg>`;

export const shieldIcon = new LabIcon({ name: 'sls-jupyter:shield', svgstr: SHIELD });
