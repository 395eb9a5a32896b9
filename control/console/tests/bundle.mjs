// Bundles files of tests and programs beside them, since Node reads no TypeScript of this kind.

import { build } from 'esbuild';
import { join } from 'node:path';

const HOME = import.meta.dirname;

// Gives the paths of what was made.
export async function bundle(names) {
  const outdir = join(HOME, '../node_modules/.flk-tests');
  await build({
    entryPoints: names.map((it) => join(HOME, `${it}.ts`)), outdir, outExtension: { '.js': '.mjs' },
    bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external', sourcemap: 'inline', logLevel: 'warning',
    define: { 'import.meta.dirname': JSON.stringify(join(HOME, 'support')) },
  });
  return names.map((it) => join(outdir, `${it}.mjs`));
}
