// The panel as a page of its own, for `sls open`: one script and one style sheet with everything in them.
const path = require('path');
const { rspack } = require('@rspack/core');

// what understands nested rules; for older ones :is() would be rewritten into forms that weigh otherwise
const BROWSERS = ['chrome >= 120', 'firefox >= 121', 'safari >= 17.2'];

const config = {
  mode: 'production',
  devtool: false,
  context: __dirname,
  entry: { panel: ['./lib/page/index.js', './style/index.css', './style/page.css'] },
  output: {
    path: path.resolve(__dirname, '../sls_jupyter/lab/page'),
    filename: 'panel.js',
    cssFilename: 'panel.css',
    clean: true
  },
  module: { rules: [{ test: /\.css$/, type: 'css' }] },
  // ids that do not depend on where the checkout lies, so that anybody's build has the same bytes
  optimization: {
    moduleIds: 'named',
    chunkIds: 'named',
    splitChunks: false,
    runtimeChunk: false,
    minimizer: [
      new rspack.SwcJsMinimizerRspackPlugin(),
      new rspack.LightningCssMinimizerRspackPlugin({ minimizerOptions: { targets: BROWSERS } })
    ]
  },
  performance: { hints: false }
};

rspack(config, (error, stats) => {
  if (error) {
    throw error;
  }
  process.stdout.write(`${stats.toString({ preset: 'errors-warnings' })}\n`);
  process.exitCode = stats.hasErrors() ? 1 : 0;
});
