// The panel as a page of its own: one file with everything in it, for `sls open`.
const path = require('path');

module.exports = {
  mode: 'production',
  devtool: false,
  entry: './lib/page/index.js',
  output: { path: path.resolve(__dirname, '../sls_jupyter/lab/page'), filename: 'panel.js', clean: false },
  optimization: { moduleIds: 'named', chunkIds: 'named', splitChunks: false, runtimeChunk: false },
  performance: { hints: false }
};
