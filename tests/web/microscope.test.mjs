import assert from 'node:assert/strict';
import { test } from './harness.mjs';
import { at, by } from './page.mjs';

/** Opens a scenario at a moment with its latest rebalance under the microscope. */
async function look(open, scenario, seconds) {
  const page = await open(`?scenario=${scenario}`);
  await at(page, seconds);
  await page.keyboard.press('m');
  await by(page, 'microscope').waitFor();
  return page;
}

/** How many pixels of the sheet are not of its most frequent colour. */
const painted = (page) =>
  page.evaluate(() => {
    const canvas = document.querySelector('[data-testid="microscope-sheet"] canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Map();
    for (let at = 0; at < data.length; at += 4) {
      const colour = `${data[at]},${data[at + 1]},${data[at + 2]},${data[at + 3]}`;
      colours.set(colour, (colours.get(colour) ?? 0) + 1);
    }
    return data.length / 4 - Math.max(...colours.values());
  });

test('the microscope scores a crash from the crash on', async ({ open }) => {
  const page = await look(open, 'redelivery', 25);
  await page.getByRole('heading', { name: 'Rebalance 2 of bank' }).waitFor();
  assert.match(await by(page, 'score-unread').innerText(), /^6\.\d+\s+partition-seconds unread/);
  assert.match(await by(page, 'score-moved').innerText(), /^1\s+of 2 partitions moved/);
  const report = await page.evaluate(() => window.brokerscope.report());
  const redelivered = Number((await by(page, 'score-redelivered').innerText()).match(/^\d+/)[0]);
  assert.equal(redelivered, report.ledger.groups.bank.redelivered);
  assert.ok((await painted(page)) > 5_000, 'something is drawn');
});

test('a rebalance has a way to the microscope from its event', async ({ open }) => {
  const page = await open('?scenario=redelivery');
  await at(page, 25);
  await page.keyboard.press('e');
  await by(page, 'closer').first().click();
  await by(page, 'microscope').waitFor();
  await page.keyboard.press('Escape');
  await by(page, 'microscope').waitFor({ state: 'detached' });
});

test('keys walk from message to message, and Enter goes to its moment', async ({ open }) => {
  const page = await look(open, 'redelivery', 25);
  await by(page, 'microscope-sheet').focus();
  await page.keyboard.press('ArrowRight');
  const first = await by(page, 'microscope-told').innerText();
  assert.match(first, /^\d+\.\d{3} s /);
  await page.keyboard.press('ArrowRight');
  const second = await by(page, 'microscope-told').innerText();
  assert.notEqual(second, first);
  await page.keyboard.press('Enter');
  const seconds = Number(second.match(/^(\d+\.\d+)/)[1]);
  const now = await page.evaluate(() => window.brokerscope.report().now_us / 1e6);
  assert.ok(Math.abs(now - seconds) < 0.002, `${now} for ${second}`);
});

test('tables say the same as the sheet', async ({ open }) => {
  const page = await look(open, 'redelivery', 25);
  await by(page, 'microscope-tables').locator('summary').click();
  const text = await by(page, 'microscope-tables').innerText();
  assert.match(text, /payments-0/);
  assert.match(text, /its reader's process ended/);
  assert.match(text, /JoinGroup/);
  assert.match(text, /session\.timeout\.ms of 6/);
});

test('zoom and pan change the sheet, and Fit brings it back', async ({ open }) => {
  const page = await look(open, 'redelivery', 25);
  const image = () =>
    page.evaluate(() => document.querySelector('[data-testid="microscope-sheet"] canvas').toDataURL());
  const whole = await image();
  await by(page, 'microscope-in').click();
  await page.waitForTimeout(100);
  assert.notEqual(await image(), whole);
  await by(page, 'microscope-fit').click();
  await by(page, 'microscope-close').focus();
  await page.waitForTimeout(100);
  assert.equal(await image(), whole);
});

test('one click compares the run under three protocols', async ({ open }) => {
  const page = await look(open, 'redelivery', 25);
  await by(page, 'microscope-compare').click();
  for (const protocol of ['eager', 'cooperative', 'consumer']) {
    await by(page, `compare-${protocol}`).waitFor({ timeout: 120_000 });
  }
  const rows = await by(page, 'compare-whole').locator('tbody tr').allInnerTexts();
  assert.equal(rows.length, 3);
  const eager = by(page, 'compare-eager').locator('[data-testid="score-unread"]');
  assert.match(await eager.innerText(), /partition-seconds unread/);
  await by(page, 'microscope-compare').click();
  await by(page, 'microscope-sheet').waitFor();
});

test('the keys go to the sheet while it is open, and back to where they went before', async ({ open }) => {
  const page = await open('?scenario=scale-out');
  await at(page, 20);
  await by(page, 'play').focus();
  await page.keyboard.press('m');
  await page.waitForFunction(() => document.activeElement?.dataset.testid === 'microscope-sheet');
  assert.equal(await by(page, 'stage').evaluate((stage) => stage.inert), true, 'nobody tabs through what cannot be seen');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.activeElement?.dataset.testid === 'play');
  assert.equal(await by(page, 'stage').evaluate((stage) => stage.inert), false);
});

test('of several groups one can choose whose rebalance to look at', async ({ open }) => {
  const page = await look(open, 'eager-vs-cooperative', 30);
  for (const group of ['eager', 'cooperative']) {
    await by(page, 'microscope-group').selectOption(group);
    await page.getByRole('heading', { name: new RegExp(`^Rebalance \\d+ of ${group}$`) }).waitFor();
  }
});

test('the sheet is drawn anew when the tables take some of its room', async ({ open }) => {
  const page = await look(open, 'redelivery', 25);
  await by(page, 'microscope-tables').locator('summary').click();
  await page.waitForFunction(() => {
    const canvas = document.querySelector('[data-testid="microscope-sheet"] canvas');
    return Math.abs(canvas.height - canvas.clientHeight * window.devicePixelRatio) <= 1 && canvas.clientHeight < 500;
  });
});
