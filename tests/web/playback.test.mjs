import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { native, root, test } from './harness.mjs';
import { at, brokerIs, by, give, moves, report } from './page.mjs';

const scenarios = readdirSync(`${root}/scenarios`).map((file) => file.replace(/\.toml$/, '')).sort();
const durationOf = (name) => Number(/^duration = "(\d+)s"/m.exec(readFileSync(`${root}/scenarios/${name}.toml`, 'utf8'))[1]);

test('the page opens on hello and plays it by itself', async ({ open }) => {
  const page = await open();
  await moves(page);
  assert.equal((await report(page)).scenario, 'Ten hellos through three brokers');
  assert.equal(await by(page, 'scenarios').getAttribute('data-value'), 'hello');
});

test('what plays can be seen to move', async ({ open }) => {
  const page = await open();
  await page.waitForFunction(() => {
    const drawn = [...document.querySelectorAll('[data-testid="stage"] canvas')].map((canvas) => canvas.toDataURL()).join();
    window.seen ??= drawn;
    return window.seen !== drawn;
  });
});

test('at 30 s hello has processed ten records and its ledger is clean', async ({ open }) => {
  const page = await open();
  const { ledger, expectations, violations, groups, now_us } = await at(page, 30);
  assert.equal(now_us, 30_000_000);
  assert.deepEqual(violations, []);
  assert.deepEqual(
    { sent: ledger.sent, acked: ledger.acked, failed: ledger.failed, pending: ledger.pending, lost: ledger.lost, duplicated: ledger.duplicated },
    { sent: 10, acked: 10, failed: 0, pending: 0, lost: 0, duplicated: 0 },
  );
  assert.deepEqual(ledger.groups['consumer-group'], { processed: 10, distinct: 10, redelivered: 0, missed: 0, out_of_order: 0 });
  assert.equal(groups['consumer-group'].lag, 0);
  assert.ok(expectations.length > 0);
  assert.deepEqual(expectations.filter(({ holds }) => !holds), []);
});

for (const name of scenarios) {
  test(`${name} has the same facts here as natively, to the last bit`, async ({ open }) => {
    const page = await open(`?scenario=${name}`);
    const here = await at(page, durationOf(name));
    const there = native(name);
    assert.equal(here.now_us, there.now_us);
    assert.equal(here.trace_hash, there.trace_hash);
    assert.deepEqual(here, there);
    assert.deepEqual(here.violations, []);
    assert.deepEqual(here.expectations.filter(({ holds }) => !holds), []);
  });

  test(`${name} is in the menu, opens from it and plays`, async ({ open }) => {
    const page = await open(`?scenario=${name === 'hello' ? 'load-balance' : 'hello'}`);
    const title = /^title = "(.*)"/m.exec(readFileSync(`${root}/scenarios/${name}.toml`, 'utf8'))[1];
    await by(page, 'scenarios').click();
    await by(page, `scenario-${name}`).click();
    await by(page, 'scenario-menu').waitFor({ state: 'detached' });
    await page.waitForFunction((title) => window.brokerscope.report().scenario === title, title);
    await moves(page);
    assert.equal(await by(page, 'scenarios').getAttribute('data-value'), name);
  });
}

test('the scenario menu is walked through with the keys, and Escape leaves it', async ({ open }) => {
  const page = await open();
  const on = (id) => page.waitForFunction((id) => document.activeElement?.getAttribute('data-testid') === id, id);
  await by(page, 'scenarios').focus();
  await page.keyboard.press('Enter');
  await on('scenario-hello');
  await page.keyboard.press('Escape');
  await by(page, 'scenario-menu').waitFor({ state: 'detached' });
  await on('scenarios');
  await page.keyboard.press('Enter');
  await on('scenario-hello');
  await page.keyboard.press('End');
  await on('scenario-kip-279');
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowDown');
  await on('scenario-load-balance');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => window.brokerscope.report().scenario !== 'Ten hellos through three brokers');
  assert.equal(await by(page, 'scenarios').getAttribute('data-value'), 'load-balance');
});

test('on a phone every scenario of the menu can be reached', { context: { viewport: { width: 390, height: 844 }, hasTouch: true } }, async ({ open }) => {
  const page = await open();
  await by(page, 'scenarios').tap();
  for (const name of scenarios) {
    await by(page, `scenario-${name}`).scrollIntoViewIfNeeded();
    const { x, y, width, height } = await by(page, `scenario-${name}`).boundingBox();
    assert.ok(x >= 0 && x + width <= 390 && y >= 0 && y + height <= 844, name);
  }
  await by(page, 'scenario-kip-101').tap();
  await page.waitForFunction(() => window.brokerscope.report().scenario.startsWith('KIP-101'));
});

test('a run is the same whether it was watched or not', async ({ open }) => {
  const page = await open('?scenario=redelivery');
  await page.waitForFunction(() => window.brokerscope.report().now_us > 300_000);
  const watched = await at(page, 10);
  await page.reload();
  await page.waitForFunction(() => window.brokerscope);
  assert.deepEqual(await at(page, 10), watched);
});

test('seek back and forward gives the same report at the same moment', async ({ open }) => {
  const page = await open();
  const moments = [3.25, 12, 14.5, 21.7, 30];
  const first = [];
  for (const moment of moments) first.push(await at(page, moment));
  for (const index of [4, 0, 3, 1, 2, 1]) assert.deepEqual(await at(page, moments[index]), first[index]);
});

test('a command given once is there again after a seek to before it and back', async ({ open }) => {
  const page = await open();
  await at(page, 6);
  await give(page, 'kill broker-2');
  const after = await at(page, 12);
  assert.equal(after.cluster.brokers.find(({ id }) => id === 2).state, 'down');
  assert.equal((await at(page, 5.9)).cluster.brokers.find(({ id }) => id === 2).state, 'running');
  assert.deepEqual(await at(page, 12), after);
});

test('a command given in the past begins another future', async ({ open }) => {
  const page = await open();
  const old = await at(page, 12);
  await at(page, 3);
  await give(page, 'kill broker-1');
  await brokerIs(page, 1, 'down');
  const other = await at(page, 12);
  assert.notEqual(other.trace_hash, old.trace_hash);
  assert.equal(other.cluster.brokers.find(({ id }) => id === 1).state, 'down');
});

test('play, pause, step and back do what their buttons say', async ({ open }) => {
  const page = await open();
  await moves(page);
  await by(page, 'play').click();
  await page.waitForFunction(() => document.querySelector('[data-testid="play"]').getAttribute('aria-label') === 'Play');
  const paused = (await report(page)).now_us;
  await by(page, 'step').click();
  await page.waitForFunction((before) => window.brokerscope.report().now_us > before, paused);
  const stepped = (await report(page)).now_us;
  await by(page, 'back').click();
  await page.waitForFunction((before) => window.brokerscope.report().now_us < before, stepped);
  await by(page, 'play').click();
  await moves(page);
});

test('the keys play, step and go back', async ({ open }) => {
  const page = await open();
  await at(page, 6);
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => window.brokerscope.report().now_us > 6_000_000);
  const stepped = (await report(page)).now_us;
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction((before) => window.brokerscope.report().now_us < before, stepped);
  await page.keyboard.press('Space');
  await moves(page);
});

test('the timeline is dragged with the mouse and moved with the keys', async ({ open }) => {
  const page = await open();
  await at(page, 20);
  const { x, y, width, height } = await by(page, 'timeline').boundingBox();
  await page.mouse.move(x + width * 0.6, y + height * 0.8);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.3, y + height * 0.8, { steps: 5 });
  await page.mouse.up();
  const dragged = (await report(page)).now_us;
  assert.ok(Math.abs(dragged - 9_000_000) < 300_000, `dragged to ${dragged} us`);
  await by(page, 'timeline').focus();
  await page.keyboard.press('End');
  await page.waitForFunction(() => window.brokerscope.report().now_us === 30_000_000);
  await page.keyboard.press('Home');
  await page.waitForFunction(() => window.brokerscope.report().now_us === 0);
});

test('the pace can be set by hand', async ({ open }) => {
  const page = await open();
  await by(page, 'speed').focus();
  await page.keyboard.press('End');
  await page.waitForFunction(() => document.querySelector('[data-testid="auto"]').getAttribute('aria-pressed') === 'false');
  await page.waitForFunction(() => window.brokerscope.report().now_us > 20_000_000);
});
