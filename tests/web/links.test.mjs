import assert from 'node:assert/strict';
import { test } from './harness.mjs';
import { at, by, give, moves, notice, report } from './page.mjs';

async function shared(open) {
  const page = await open();
  await at(page, 6);
  await give(page, 'kill broker-2');
  const there = await at(page, 8);
  await by(page, 'share').click();
  await page.waitForFunction(() => location.hash.startsWith('#s='));
  return { hash: new URL(page.url()).hash, there, later: await at(page, 15) };
}

test('a link from Share opens the same run in a new page', async ({ open, context }) => {
  const { hash, there, later } = await shared(open);
  const other = await open(hash, { on: await context.newPage() });
  assert.deepEqual(await at(other, 8), there);
  assert.deepEqual(await at(other, 15), later);
});

test('a link opens at its moment, with what led there', async ({ open, context }) => {
  const { hash, there } = await shared(open);
  const other = await context.newPage();
  await other.emulateMedia({ reducedMotion: 'reduce' });
  await open(hash, { on: other });
  assert.deepEqual(await report(other), there);
});

for (const [what, broken] of [
  ['was cut off', (hash) => hash.slice(0, -20)],
  ['changed', (hash) => hash.slice(0, 60) + (hash[60] === 'A' ? 'B' : 'A') + hash.slice(61)],
  ['is no link at all', () => '#s=hello'],
  ['is empty', () => '#s='],
]) {
  test(`a link that ${what} says so, and the default scenario plays instead`, async ({ open, context }) => {
    const { hash } = await shared(open);
    const other = await open(broken(hash), { on: await context.newPage() });
    assert.match(await notice(other), /damaged/i);
    assert.equal((await report(other)).scenario, 'Ten hellos through three brokers');
    await moves(other);
  });
}

test('a link of a newer program says so, and the default scenario plays instead', async ({ open }) => {
  const page = await open('#s=9.AAAA.00000000');
  assert.match(await notice(page), /newer/i);
  await moves(page);
});

test('another link in the address of an open page opens that run', async ({ open }) => {
  const { hash, there } = await shared(open);
  const page = await open('?scenario=notifications');
  await page.evaluate((hash) => { location.hash = hash; }, hash);
  await page.waitForFunction((title) => window.brokerscope.report().scenario === title, there.scenario);
  assert.deepEqual(await at(page, 8), there);
});

test('the state of affairs as TOML is a scenario that leads to the same run', async ({ open, context }) => {
  const page = await open();
  await at(page, 6);
  await give(page, 'kill broker-2');
  const there = await at(page, 9);
  const toml = await page.evaluate(() => window.brokerscope.scenario());
  const other = await open('', { on: await context.newPage() });
  await other.evaluate((toml) => window.brokerscope.load(toml), toml);
  const here = await at(other, 9);
  assert.deepEqual(here.ledger, there.ledger);
  assert.deepEqual(here.topics, there.topics);
  assert.deepEqual(here.cluster, there.cluster);
});
