import assert from 'node:assert/strict';
import { test } from './harness.mjs';
import { at, brokerIs, by, give, report, tabTo } from './page.mjs';

test('kill broker-2 from its own menu with the mouse', async ({ open }) => {
  const page = await open();
  await at(page, 2);
  await by(page, 'node-broker-2').hover();
  await by(page, 'menu-of-broker-2').click();
  await by(page, 'menu-kill').click();
  await brokerIs(page, 2, 'down');
  assert.equal(await by(page, 'menu').count(), 0);
});

test('kill broker-2 with the keyboard alone', async ({ open }) => {
  const page = await open();
  await page.keyboard.press('Space');
  await tabTo(page, 'menu-of-broker-2');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement?.getAttribute('data-testid') === 'menu-kill');
  await page.keyboard.press('Enter');
  await brokerIs(page, 2, 'down');
});

test('Escape closes a node\'s menu, changes nothing and gives the focus back', async ({ open }) => {
  const page = await open();
  const before = await at(page, 2);
  await by(page, 'menu-of-broker-2').focus();
  await page.keyboard.press('Enter');
  await by(page, 'menu').waitFor();
  await page.keyboard.press('Escape');
  await by(page, 'menu').waitFor({ state: 'detached' });
  assert.deepEqual(await report(page), before);
  await page.waitForFunction(() => document.activeElement?.getAttribute('data-testid') === 'menu-of-broker-2');
});

test('a broker is paused, resumed, stopped and started from its menu', async ({ open }) => {
  const page = await open();
  await at(page, 2);
  const choose = async (verb) => {
    await by(page, 'menu-of-broker-1').click();
    await by(page, `menu-${verb}`).click();
  };
  await choose('pause');
  await brokerIs(page, 1, 'paused');
  await choose('resume');
  await brokerIs(page, 1, 'running');
  await choose('stop');
  await page.evaluate(() => window.brokerscope.seek(8));
  await brokerIs(page, 1, 'down');
  await choose('start');
  await page.evaluate(() => window.brokerscope.seek(20));
  await brokerIs(page, 1, 'running');
});

test('a click on a broker shows it in the inspector', async ({ open }) => {
  const page = await open();
  await at(page, 2);
  await by(page, 'node-broker-3').click({ position: { x: 40, y: 12 } });
  await by(page, 'inspector').getByRole('heading', { name: /broker-3/ }).waitFor();
});

test('Enter on a broker shows it in the inspector', async ({ open }) => {
  const page = await open();
  await at(page, 2);
  await by(page, 'node-broker-3').focus();
  await page.keyboard.press('Enter');
  await by(page, 'inspector').getByRole('heading', { name: /broker-3/ }).waitFor();
});

test('the group\'s "+" adds a consumer that joins', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  await by(page, 'add-to-consumer-group').click();
  await page.waitForFunction(() => 'consumer-c3' in window.brokerscope.report().consumers);
  await page.evaluate(() => window.brokerscope.seek(12));
  const { groups } = await report(page);
  assert.deepEqual(Object.keys(groups['consumer-group'].members).sort(), ['consumer-c1', 'consumer-c2', 'consumer-c3']);
});

test('an event\'s Why? leads from the leader election of hello back to the kill', async ({ open }) => {
  const page = await open();
  const { topics } = await at(page, 15);
  assert.equal(topics['test-topic'].partitions[2].leader, 1);
  await by(page, 'tab-events').click();
  const election = by(page, 'events').locator('li', { hasText: /broker-1.*leads test-topic-2|leader of test-topic-2/i }).first();
  await election.getByRole('button', { name: 'Why?' }).click();
  const steps = await by(page, 'events').locator('.reasons > li').allInnerTexts();
  assert.ok(steps.length >= 3, `too short an answer:\n${steps.join('\n')}`);
  assert.match(steps.at(-1), /kill broker-3/);
  assert.ok(steps.some((step) => /broker\.session\.timeout\.ms = 9000/.test(step)), `no setting in:\n${steps.join('\n')}`);
});

test('a setting is changed in place in the inspector', async ({ open }) => {
  const page = await open();
  await at(page, 2);
  await by(page, 'node-producer-go').focus();
  await page.keyboard.press('Enter');
  const row = by(page, 'inspector').locator('tr', { has: page.locator('th', { hasText: /^linger\.ms$/ }) });
  if (!(await row.isVisible())) await by(page, 'inspector').locator('summary', { hasText: /setting/i }).click();
  await row.getByTitle('Change it').click();
  await row.locator('input').fill('50');
  await row.locator('input').press('Enter');
  await row.getByText('50').waitFor();
  assert.match(await page.evaluate(() => window.brokerscope.scenario()), /set producer-go linger\.ms=50/);
});

test('a cut link is healed by a command, and both are told', async ({ open }) => {
  const page = await open();
  await at(page, 2);
  await give(page, 'cut broker-1 | broker-2');
  await at(page, 4);
  await give(page, 'heal');
  await by(page, 'tab-events').click();
  await by(page, 'events').getByText(/cut/i).first().waitFor();
  await by(page, 'events').getByText(/heal/i).first().waitFor();
});
