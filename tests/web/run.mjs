// Runs the tests in a headless Chromium: node tests/web/run.mjs DIST [FILTER]
//
// Every test gets a browser context of its own, so that it remembers nothing of another one. It fails when it throws,
// and also when the page complained: an error on the console, an uncaught exception, a request that failed or that
// went to somebody else.

import { readdirSync } from 'node:fs';
import { launch, serve, stated } from './harness.mjs';

const [dist, filter = ''] = process.argv.slice(2);
if (!dist) {
  console.error('usage: node tests/web/run.mjs DIST [FILTER]');
  process.exit(2);
}
const PATIENCE_MS = 180_000;

const here = new URL('.', import.meta.url);
for (const file of readdirSync(here).filter((name) => name.endsWith('.test.mjs')).sort()) {
  await import(new URL(file, here));
}
const { base, close } = await serve(dist);
const browser = await launch();
let passed = 0;
let failed = 0;
for (const test of stated().filter(({ name }) => name.includes(filter))) {
  try {
    await run(test);
    passed += 1;
    console.log(`ok      ${test.name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${test.name}\n${indented(error.stack ?? String(error))}`);
  }
}
await browser.close();
close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function run({ options, body }) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options.context });
  context.setDefaultTimeout(30_000);
  const complaints = [];
  context.on('page', (page) => listen(page, complaints));
  const page = await context.newPage();
  /** Opens the page at an address below `base`. `on`: which page; `ready: false` does not wait for the program. */
  const open = async (address = '', { on = page, ready = true } = {}) => {
    await on.goto(base + address);
    if (ready) await on.waitForFunction(() => window.brokerscope);
    return on;
  };
  let patience;
  try {
    const late = new Promise((_, refuse) => {
      patience = setTimeout(() => refuse(new Error(`not done after ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
    });
    await Promise.race([body({ page, open, base, context }), late]);
    const unexpected = complaints.filter((said) => !(options.expected ?? []).some((pattern) => pattern.test(said)));
    if (unexpected.length > 0) throw new Error(`the page complained:\n${unexpected.join('\n')}`);
  } finally {
    clearTimeout(patience);
    await context.close();
  }
}

function listen(page, complaints) {
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.stack ?? error}`));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !/^(data|blob|about):/.test(url)) complaints.push(`request to ${url}`);
  });
  page.on('requestfailed', (request) => complaints.push(`request failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`request failed: ${response.url()} ${response.status()}`);
  });
}

function indented(text) {
  return text.replaceAll(/^/gm, '        ');
}
