// What the tests in the browser and the page's benchmark share: a server, a browser, and how a test is told.

import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

// `.ci/env` says by NODE_PATH where the packages are; only require() listens to it.
const require = createRequire(import.meta.url);
const { chromium } = require('playwright-core');

/** The folder that holds Cargo.toml. */
export const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));

const tests = [];

/**
 * States a promise of the page. `body` gets `page` (a blank one), `open` and `base`; see run.mjs.
 * `options.expected`: patterns of what this test makes the page complain about; any other complaint fails it.
 * `options.context`: what Playwright's newContext takes, as `viewport` or `reducedMotion`.
 */
export function test(name, ...rest) {
  const body = rest.pop();
  tests.push({ name, options: rest[0] ?? {}, body });
}

/** Every test stated so far. */
export const stated = () => tests;

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.css': 'text/css' };

/**
 * Serves a folder on a free port, under `path` and nowhere else: an address that is not relative finds nothing there.
 * @returns {Promise<{base: string, close: () => void}>}
 */
export async function serve(folder, path = '/some/where/') {
  const top = resolve(folder);
  if (!existsSync(join(top, 'index.html'))) throw new Error(`${folder} holds no page. Build it first: make dist`);
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const wanted = decodeURIComponent(pathname);
    const file = join(top, normalize(wanted.slice(path.length) || 'index.html'));
    const there = wanted.startsWith(path) && file.startsWith(top) && existsSync(file) && statSync(file).isFile();
    if (!there) return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    base: `http://127.0.0.1:${server.address().port}${path}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

/** Starts the Chromium that is installed, without a window. */
export async function launch(flags = []) {
  const folders = (process.env.PATH ?? '').split(':');
  const found = BROWSERS.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => existsSync(file));
  if (!found) throw new Error('There is no Chromium here. Install it (Debian: apt-get install chromium).');
  return chromium.launch({ executablePath: found, args: [...FLAGS, ...flags] });
}

/** The report of `brokerscope run scenarios/NAME.toml`, from the native program. */
export function native(scenario) {
  const run = ['run', `scenarios/${scenario}.toml`, '--json'];
  const built = process.env.BROKERSCOPE;
  const [program, args] = built ? [built, run] : ['cargo', ['run', '--quiet', '--', ...run]];
  try {
    return JSON.parse(execFileSync(program, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }));
  } catch (error) {
    // Exit status 1 says that an expectation fails; the report is there all the same.
    if (error.status === 1 && error.stdout) return JSON.parse(error.stdout);
    throw error;
  }
}

/** The source of axe, to be run inside a page. */
export const axeSource = () => require('axe-core').source;
