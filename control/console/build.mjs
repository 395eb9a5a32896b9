// Makes dist/ from src/: one script, one style sheet, the runbooks, and each of them packed by gzip beside it. It fails if
// what a browser fetches is larger than 300 KiB.

import { build } from 'esbuild';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

// Node of Debian 12 is 18, which has no import.meta.dirname.
const HOME = dirname(fileURLToPath(import.meta.url));
const DIST = join(HOME, 'dist');
const ASSETS = join(DIST, 'assets');
const RUNBOOKS = join(HOME, '../../docs/runbooks');
const PACKED_BYTES_MAX = 300 * 1024;

async function runbooks() {
  const names = (await readdir(RUNBOOKS)).filter((it) => it.endsWith('.md')).sort();
  const texts = await Promise.all(names.map((it) => readFile(join(RUNBOOKS, it), 'utf8')));
  return JSON.stringify(Object.fromEntries(names.map((it, at) => [it.replace(/\.md$/, ''), texts[at]])));
}

// The same bytes give the same pack: no name and no time in it.
function packed(bytes) {
  const pack = gzipSync(bytes, { level: 9 });
  pack.fill(0, 4, 8);
  return pack;
}

// dist/.gitignore stays: it is what keeps the rest out of the repository.
for (const it of ['index.html', 'index.html.gz', 'assets']) await rm(join(DIST, it), { recursive: true, force: true });
await mkdir(ASSETS, { recursive: true });
await build({
  entryPoints: { console: join(HOME, 'src/main.ts') },
  outdir: ASSETS, bundle: true, minify: true, format: 'esm', target: 'es2022', legalComments: 'inline', logLevel: 'warning',
});
await build({ entryPoints: { console: join(HOME, 'style.css') }, outdir: ASSETS, bundle: true, minify: true, logLevel: 'warning' });
await writeFile(join(ASSETS, 'runbooks.json'), await runbooks());
await writeFile(join(ASSETS, 'icon.svg'), await readFile(join(HOME, 'icon.svg')));
await writeFile(join(DIST, 'index.html'), await readFile(join(HOME, 'index.html')));

let all = 0;
for (const file of ['index.html', ...(await readdir(ASSETS)).sort().map((it) => join('assets', it))]) {
  const pack = packed(await readFile(join(DIST, file)));
  await writeFile(join(DIST, `${file}.gz`), pack);
  all += pack.length;
}
console.log(`console: ${(all / 1024).toFixed(1)} KiB packed`);
if (all > PACKED_BYTES_MAX) {
  console.error(`console: ${all} bytes packed are more than ${PACKED_BYTES_MAX}`);
  process.exit(1);
}
