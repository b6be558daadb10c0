// Ids that do not depend on where the checkout lies, so that anybody's build has the same bytes.
module.exports = {
  optimization: { moduleIds: 'named', chunkIds: 'named' }
};
