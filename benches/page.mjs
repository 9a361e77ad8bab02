// The budgets that live in the page: node benches/page.mjs DIST. Prints figures beside budgets; asserts nothing.

import { readFileSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { launch, root, serve } from '../tests/web/harness.mjs';

const dist = process.argv[2] ?? 'dist';
const { base, close } = await serve(dist);
const count = (number) => Math.round(number).toLocaleString('en');
const row = (what, figure, budget) => console.log(`${what.padEnd(46)} ${figure.padStart(26)}   ${budget}`);

const browser = await launch();
console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, headless Chromium ${browser.version()}\n`);
row('what', 'median', 'budget');

const records = await median(3, () => fresh(browser, (page) => page.evaluate(() => window.brokerscope.bench('engine'))));
row('records simulated a second, wasm', count(records), 'half of native (see above: the engine)');

const seek = await median(3, () => fresh(browser, tenBusyMinutes));
row('longest seek in ten busy minutes', `${seek.toFixed(1)} ms`, '100 ms');
await browser.close();

const firstMoving = await median(5, cold);
row('first moving picture, cold, on loopback', `${firstMoving.toFixed(0)} ms`, '1000 ms');

await frames();
await crowd();
sizes();
close();

/** The median of several runs. */
async function median(runs, run) {
  const figures = [];
  for (let done = 0; done < runs; done += 1) figures.push(await run());
  return quantile(figures, 0.5);
}

function quantile(figures, part) {
  return figures.sort((a, b) => a - b)[Math.min(figures.length - 1, Math.floor(figures.length * part))];
}

/** Opens the page in a context of its own, paused, and returns what `measure` finds. */
async function fresh(browser, measure) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(300_000);
  const page = await context.newPage();
  await page.goto(base);
  await page.waitForFunction(() => window.brokerscope);
  await page.evaluate(() => window.brokerscope.pause());
  const figure = await measure(page);
  await context.close();
  return figure;
}

/** The frames while a thousand members are given ten thousand partitions, and again without one of them. */
async function crowd() {
  const browser = await launch();
  const gaps = await fresh(browser, async (page) => {
    await page.evaluate(() => {
      window.brokerscope.bench('rebalance');
      // Shortly before the first assignment; one member leaves a second later. A fifth of real time shows all of it.
      window.brokerscope.seek(9);
      const pace = document.querySelector('[data-testid="speed"]');
      pace.value = Math.log10(1 / 5);
      pace.dispatchEvent(new Event('input', { bubbles: true }));
      window.brokerscope.play();
    });
    return page.evaluate(
      () =>
        new Promise((done) => {
          const gaps = [];
          const end = performance.now() + 60_000;
          let last = performance.now();
          requestAnimationFrame(function frame() {
            const now = performance.now();
            gaps.push(now - last);
            last = now;
            if (now < end) requestAnimationFrame(frame);
            else done(gaps);
          });
        }),
    );
  });
  await browser.close();
  const slow = gaps.filter((gap) => gap > 50).length;
  row('1,000 members, 10,000 partitions: longest frame', `${Math.max(...gaps).toFixed(1)} ms`, '50 ms');
  row('  frames over 50 ms, of all in a minute', `${slow} of ${gaps.length}`, '0');
}

/** Lives through ten minutes of 300 records a second, then seeks all over them. */
function tenBusyMinutes(page) {
  const toml = readFileSync(join(root, 'scenarios/load-balance.toml'), 'utf8').replace(/^duration = .*$/m, 'duration = "10m"');
  return page.evaluate((toml) => {
    window.brokerscope.load(toml);
    window.brokerscope.pause();
    window.brokerscope.seek(600);
    return window.brokerscope.bench('seek');
  }, toml);
}

/** From navigation to the first frame whose picture differs from the one before, in a browser that has cached nothing. */
async function cold() {
  const browser = await launch();
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(() => {
    const small = new OffscreenCanvas(480, 300);
    const pen = small.getContext('2d', { willReadFrequently: true });
    let before = '';
    const look = () => {
      const canvases = [...document.querySelectorAll('[data-testid="stage"] canvas')].filter(({ width, height }) => width * height > 0);
      if (canvases.length > 0) {
        pen.clearRect(0, 0, small.width, small.height);
        for (const canvas of canvases) pen.drawImage(canvas, 0, 0, small.width, small.height);
        const { data } = pen.getImageData(0, 0, small.width, small.height);
        let hash = 0;
        let drawn = false;
        for (let at = 0; at < data.length; at += 1) {
          hash = (Math.imul(hash, 31) + data[at]) | 0;
          drawn ||= data[at] !== 0;
        }
        const now = drawn ? String(hash) : '';
        if (before !== '' && now !== before) {
          window.firstMoving = performance.now();
          return;
        }
        before = now;
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto(base);
  const figure = await (await page.waitForFunction(() => window.firstMoving)).jsonValue();
  await browser.close();
  return figure;
}

/** Frames of the stage with and without ten thousand messages, with no screen to wait for: a frame is what it costs. */
async function frames() {
  const browser = await launch(['--disable-frame-rate-limit', '--disable-gpu-vsync']);
  const messages = 10_000;
  const watch = (crowd) => fresh(browser, async (page) => {
    await page.evaluate((crowd) => {
      if (crowd) window.brokerscope.bench('stage');
      window.brokerscope.play();
    }, crowd);
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable');
    const script = async () => {
      const { metrics } = await session.send('Performance.getMetrics');
      return 1000 * metrics.find(({ name }) => name === 'ScriptDuration').value;
    };
    await gaps(page, 30);
    const before = await script();
    const all = await gaps(page, 300);
    const perFrame = ((await script()) - before) / all.length;
    return { p50: quantile(all, 0.5), p95: quantile(all, 0.95), script: perFrame };
  });
  const runs = [];
  for (let done = 0; done < 3; done += 1) runs.push({ calm: await watch(false), crowd: await watch(true) });
  await browser.close();
  const middle = (read) => quantile(runs.map(read), 0.5);
  const pair = (which) => `${middle((run) => run[which].p50).toFixed(1)} / ${middle((run) => run[which].p95).toFixed(1)} ms`;
  row('frame, hello as it plays, p50 / p95', pair('calm'), 'p95 16.7 ms');
  row('frame, 10,000 moving messages, p50 / p95', pair('crowd'), 'p95 16.7 ms');
  row('script in such a frame', `${middle((run) => run.crowd.script).toFixed(1)} ms`, '');
  const each = middle((run) => ((run.crowd.script - run.calm.script) * 1000) / messages);
  row('script for one moving message', `${each.toFixed(2)} µs`, '1.5 µs');
}

/** The times between so many frames, in milliseconds. */
function gaps(page, wanted) {
  return page.evaluate((wanted) => new Promise((done) => {
    const gaps = [];
    let last;
    const frame = (now) => {
      if (last !== undefined) gaps.push(now - last);
      last = now;
      if (gaps.length < wanted) requestAnimationFrame(frame);
      else done(gaps);
    };
    requestAnimationFrame(frame);
  }), wanted);
}

/** Everything in the folder is loaded by the first view; there is nothing else. */
function sizes() {
  let [plain, brotli] = [0, 0];
  for (const entry of readdirSync(dist, { withFileTypes: true }).filter((entry) => entry.isFile())) {
    const bytes = readFileSync(join(dist, entry.name));
    const compressed = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } });
    plain += bytes.length;
    brotli += compressed.length;
    row(`  ${entry.name}`, `${kilobytes(bytes.length)}, brotli ${kilobytes(compressed.length)}`, '');
  }
  row('everything the first view loads', `${kilobytes(plain)}, brotli ${kilobytes(brotli)}`, '300 KB with brotli');
}

function kilobytes(bytes) {
  return `${(bytes / 1024).toFixed(0)} KB`;
}
