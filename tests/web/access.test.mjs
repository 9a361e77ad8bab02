import assert from 'node:assert/strict';
import { axeSource, test } from './harness.mjs';
import { at, by } from './page.mjs';

/** What axe finds that keeps a person out: its serious and critical rules. */
async function barriers(page) {
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary.split('\n')[1]?.trim()}`));
  });
}

for (const theme of ['light', 'dark']) {
  for (const [width, height] of [[1440, 900], [390, 844]]) {
    test(`axe finds no barrier, ${theme}, ${width}x${height}`, { context: { viewport: { width, height } } }, async ({ open }) => {
      const page = await open(`?theme=${theme}`);
      await page.evaluate(axeSource());
      await at(page, 15);
      await by(page, 'node-broker-1').waitFor();
      const found = [];
      const look = async (where) => {
        for (const barrier of await barriers(page)) if (!found.some((known) => known.endsWith(barrier))) found.push(`${where}: ${barrier}`);
      };
      await look('at first');
      const narrow = await by(page, 'sheet-inspect').isVisible();
      for (const tab of ['inspect', 'events', 'charts', 'report']) {
        await by(page, narrow ? `sheet-${tab}` : `tab-${tab}`).click();
        await look(tab);
        if (narrow) await by(page, 'fold').click();
      }
      await by(page, 'menu-of-broker-2').click();
      await look('with a menu');
      await page.keyboard.press('Escape');
      if (await by(page, 'command').isVisible()) {
        await by(page, 'command').fill('kafka-topics --list');
        await by(page, 'command').press('Enter');
        await by(page, 'output').waitFor();
        await look('with output');
        await by(page, 'command').fill('k');
        await look('with completions');
        await by(page, 'command').fill('');
      }
      await by(page, 'help').click();
      await look('help');
      assert.deepEqual(found, []);
    });
  }
}

for (const [width, height] of [[1440, 900], [390, 844]]) {
  test(`everything one can use is reached by Tab and shows its focus, ${width}x${height}`, { context: { viewport: { width, height } } }, async ({ open }) => {
    const page = await open();
    await at(page, 15);
    await by(page, 'node-broker-1').waitFor();
    await page.evaluate(() => {
      const all = 'button, input, select, summary, a[href], [tabindex]';
      window.wanted = [...document.querySelectorAll(all)].filter((element) =>
        element.tabIndex >= 0 && !element.disabled && element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0);
      window.nameOf = (element) => `${element.tagName.toLowerCase()}.${element.className} ${element.dataset.testid ?? element.getAttribute('aria-label') ?? element.innerText}`;
      window.styleOf = (element) => {
        const { outlineStyle, outlineWidth, boxShadow, backgroundColor, borderColor } = getComputedStyle(element);
        return outlineStyle !== 'none' && parseFloat(outlineWidth) > 0 ? 'outline' : [boxShadow, backgroundColor, borderColor].join();
      };
      window.plain = new Map(window.wanted.map((element) => [element, window.styleOf(element)]));
      window.reached = new Set();
      window.unseen = [];
    });
    const count = await page.evaluate(() => window.wanted.length);
    assert.ok(count > 15, `only ${count} things to use`);
    for (let presses = 0; presses < count + 10; presses += 1) {
      await page.keyboard.press('Tab');
      await page.evaluate(() => {
        const on = document.activeElement;
        window.reached.add(on);
        if (window.plain.has(on) && window.styleOf(on) === window.plain.get(on)) window.unseen.push(window.nameOf(on));
      });
    }
    const result = await page.evaluate(() => ({
      missed: window.wanted.filter((element) => !window.reached.has(element)).map(window.nameOf),
      unseen: window.unseen,
    }));
    assert.deepEqual(result, { missed: [], unseen: [] });
  });
}

test('what has no place in the Tab order has an arrow key', async ({ open }) => {
  const page = await open();
  await at(page, 15);
  await by(page, 'tab-inspect').focus();
  for (const tab of ['events', 'charts', 'report', 'inspect']) {
    await page.keyboard.press('ArrowRight');
    assert.equal(await by(page, `tab-${tab}`).getAttribute('aria-selected'), 'true');
    assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), `tab-${tab}`);
  }
});

test('what a scenario says at a moment is read out', async ({ open }) => {
  const page = await open();
  await at(page, 4.6);
  const status = page.locator('[role="status"][aria-live="polite"]', { has: by(page, 'caption') });
  assert.match(await status.innerText(), /broker-3, the leader of partition 2, dies/);
});

test('help opens and closes with the keyboard', async ({ open }) => {
  const page = await open();
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
});
