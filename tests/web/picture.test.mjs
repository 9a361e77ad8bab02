import assert from 'node:assert/strict';
import { test } from './harness.mjs';
import { at, by, give, moves, report } from './page.mjs';

test('what ails partitions stands over the brokers for as long as it ails them', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  await by(page, 'node-broker-1').waitFor();
  assert.equal(await by(page, 'ailing').innerText(), '');
  await at(page, 15);
  await by(page, 'ailing-under-replicated').waitFor();
  assert.equal(await by(page, 'ailing-under-replicated').innerText(), '3 under-replicated');
  await by(page, 'ailing-under-replicated').focus();
  await page.keyboard.press('Enter');
  await by(page, 'inspector').getByRole('heading', { name: /test-topic-/ }).waitFor();
  await at(page, 28);
  await by(page, 'ailing-under-replicated').waitFor({ state: 'detached' });
});

test('partitions without a leader cannot be overlooked', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  for (const id of [1, 2, 3]) await give(page, `kill broker-${id}`);
  await page.evaluate(() => window.brokerscope.seek(16));
  await by(page, 'ailing-offline').waitFor();
  assert.equal(await by(page, 'ailing-offline').innerText(), '3 offline');
});

test('a run that has ended says what it came to, and can be played again', async ({ open }) => {
  const page = await open();
  await at(page, 29);
  assert.equal(await by(page, 'ending').count(), 0);
  await at(page, 30.5);
  await by(page, 'ending').waitFor();
  assert.match(await by(page, 'ending').innerText(), /The end: 10 of 10 processed, 0 lost/);
  await by(page, 'again').click();
  await by(page, 'ending').waitFor({ state: 'detached' });
  assert.ok((await report(page)).now_us < 20_000_000);
  await moves(page);
});

test('what a scenario says stays until it says the next', async ({ open }) => {
  const page = await open();
  await at(page, 12);
  assert.match(await by(page, 'caption').innerText(), /acks=all waits for the whole ISR/);
});

test('each kind of message is hidden by the keyboard, and disk and page cache are shown', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  await by(page, 'shown').locator('summary').focus();
  await page.keyboard.press('Enter');
  for (const kind of ['records', 'ask', 'reply', 'error', 'control', 'ballot', 'pulse']) {
    const box = by(page, `kind-${kind}`);
    assert.equal(await box.isChecked(), true, kind);
    await box.focus();
    await page.keyboard.press('Space');
    assert.equal(await box.isChecked(), false, kind);
  }
  const upper = () => page.evaluate(() => document.querySelector('[data-testid="stage"] canvas.upper').toDataURL());
  const lower = () => page.evaluate(() => document.querySelector('[data-testid="stage"] canvas').toDataURL());
  await page.waitForTimeout(2000);
  const [still, before] = [await upper(), await lower()];
  await by(page, 'kind-control').focus();
  await page.keyboard.press('d');
  assert.equal(await by(page, 'disk').isChecked(), true);
  await page.waitForFunction((before) => document.querySelector('[data-testid="stage"] canvas').toDataURL() !== before, before);
  assert.equal(await upper(), still);
});

test('a cut shows what it will cut before it does', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  const { x, y } = await by(page, 'stage').boundingBox();
  await page.mouse.move(x + 250, y + 130);
  await page.mouse.down();
  await page.mouse.move(x + 250, y + 300);
  await page.mouse.move(x + 250, y + 680);
  await by(page, 'knife').waitFor();
  assert.match(await by(page, 'knife').innerText(), /cut producer-go \| broker-1/);
  assert.equal((await report(page)).now_us, 3_000_000);
  await page.mouse.up();
  await page.waitForFunction(() => window.brokerscope.scenario().includes('cut producer-go'));
});

test('what a setting means is told to fingers and keys', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  await by(page, 'node-broker-2').focus();
  await page.keyboard.press('Enter');
  await by(page, 'inspector').locator('summary', { hasText: /^Settings/ }).click();
  const name = by(page, 'inspector').locator('th button', { hasText: 'broker.session.timeout.ms' });
  await name.focus();
  await page.keyboard.press('Enter');
  assert.match(await by(page, 'inspector').locator('th', { hasText: 'broker.session.timeout.ms' }).innerText(), /Default: 9000/);
});

test('a phone can fork a run', { context: { viewport: { width: 390, height: 844 } } }, async ({ open, context }) => {
  const page = await open();
  await at(page, 3);
  const opened = context.waitForEvent('page');
  await by(page, 'sheet-fork').click();
  const other = await opened;
  await other.waitForFunction(() => window.brokerscope);
  const { now_us } = await report(other);
  assert.ok(now_us >= 3_000_000 && now_us < 5_000_000, `it is at ${now_us} µs`);
});
