/** Of this bundle. A test holds it to the version of the Python package, and the panel to that of its server. */
export const VERSION = '0.1.0';
