/** The release this is built from; a test holds it against package.json. */
export const version = '0.1.0'
