import assert from 'node:assert/strict';
import { test } from './harness.mjs';
import { at, by, give, moves } from './page.mjs';

const visible = (page, testid) => by(page, testid).first().isVisible();

test('every control that formats.md promises has its data-testid', async ({ open }) => {
  const page = await open();
  await at(page, 15);
  for (const id of ['stage', 'play', 'step', 'back', 'speed', 'clock', 'timeline', 'command', 'scenarios', 'inspector', 'share', 'theme']) {
    assert.ok(await visible(page, id), id);
  }
  await by(page, 'tab-events').click();
  await by(page, 'events').waitFor();
  await by(page, 'tab-report').click();
  await by(page, 'report').waitFor();
  await by(page, 'command').fill('kafka-topics --list');
  await by(page, 'command').press('Enter');
  await by(page, 'output').waitFor();
});

test('window.brokerscope has everything that formats.md promises', async ({ open }) => {
  const page = await open();
  const kinds = await page.evaluate(() => Object.fromEntries(
    ['version', 'report', 'run', 'play', 'pause', 'seek', 'load', 'scenario', 'bench'].map((name) => [name, typeof window.brokerscope[name]]),
  ));
  const { version, ...functions } = kinds;
  assert.equal(version, 'string');
  for (const [name, kind] of Object.entries(functions)) assert.equal(kind, 'function', name);
});

test('?embed leaves the stage and the playback bar, and nothing else', async ({ open }) => {
  const page = await open('?embed');
  await moves(page);
  for (const id of ['stage', 'play', 'step', 'back', 'speed', 'clock', 'timeline']) assert.ok(await visible(page, id), id);
  for (const id of ['command', 'output', 'scenarios', 'inspector', 'events', 'report', 'share', 'theme', 'help', 'fold', 'unfold', 'hint', 'tab-inspect']) {
    assert.equal(await visible(page, id), false, id);
  }
  const { height } = await by(page, 'stage').boundingBox();
  assert.ok(height > 600, `the stage has ${height} of 900 pixels`);
});

test('?theme= decides between light and dark, whatever the system says', { context: { colorScheme: 'dark' } }, async ({ open }) => {
  const lightness = async (page) => {
    const [r, g, b] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
    return r + g + b;
  };
  const canvas = (page) => page.evaluate(() => document.querySelector('[data-testid="stage"] canvas').toDataURL());
  const page = await open('?theme=light');
  assert.ok((await lightness(page)) > 600);
  await at(page, 3);
  await page.waitForFunction(() => document.querySelector('[data-testid="node-broker-1"]'));
  const light = await canvas(page);
  await by(page, 'theme').click();
  await page.waitForFunction((light) => document.querySelector('[data-testid="stage"] canvas').toDataURL() !== light, light);
  assert.ok((await lightness(page)) < 150);
  await open('?theme=dark');
  assert.ok((await lightness(page)) < 150);
  await open('?theme=light');
  assert.ok((await lightness(page)) > 600);
});

test('without ?theme= the system decides', { context: { colorScheme: 'dark' } }, async ({ open }) => {
  const page = await open();
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--dark').trim()), '1');
});

for (const [width, height] of [[1440, 900], [1024, 700], [390, 844]]) {
  test(`nothing runs out of a window of ${width}x${height}`, { context: { viewport: { width, height } } }, async ({ open }) => {
    const page = await open();
    await at(page, 8);
    const check = async (where) => {
      const out = await page.evaluate(() => {
        const scrolls = (element) => element && (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
        const controls = [...document.querySelectorAll('button, input, select, h1, h2, [data-testid]')];
        const beyond = controls.filter((element) => {
          const { left, right, width } = element.getBoundingClientRect();
          return element.checkVisibility({ visibilityProperty: true }) && width > 0 && !scrolls(element.parentElement) && (left < -1 || right > innerWidth + 1);
        });
        const name = (element) => `${element.tagName.toLowerCase()} ${element.dataset.testid ?? element.className} ${Math.round(element.getBoundingClientRect().left)}..${Math.round(element.getBoundingClientRect().right)}`;
        return { page: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight, beyond: beyond.map(name) };
      });
      assert.ok(out.page <= width, `${where}: the page is ${out.page} wide`);
      assert.ok(out.height <= height, `${where}: the page is ${out.height} high`);
      assert.deepEqual(out.beyond, [], where);
    };
    await check('at first');
    const narrow = await visible(page, 'sheet-inspect');
    for (const tab of ['inspect', 'events', 'charts', 'report']) {
      if (narrow) {
        await by(page, `sheet-${tab}`).click();
      } else {
        await by(page, `tab-${tab}`).click();
      }
      await check(tab);
      if (narrow) await by(page, 'fold').click();
    }
    await give(page, 'kafka-topics --describe');
    await by(page, 'menu-of-broker-2').click();
    await check('with a menu');
  });
}

test('with reduced motion nothing moves until somebody asks, and then it plays', { context: { reducedMotion: 'reduce' } }, async ({ open }) => {
  const page = await open();
  await page.waitForFunction(() => document.querySelector('[data-testid="node-broker-1"]'));
  assert.equal(await by(page, 'play').getAttribute('aria-label'), 'Play');
  assert.equal(await page.evaluate(() => window.brokerscope.report().now_us), 0);
  await by(page, 'play').click();
  await moves(page);
  assert.equal((await at(page, 30)).ledger.acked, 10);
});

test('a fold of the dock gives its room to the stage, and it comes back', async ({ open }) => {
  const page = await open();
  const before = (await by(page, 'stage').boundingBox()).width;
  await by(page, 'fold').click();
  await page.waitForFunction((before) => document.querySelector('[data-testid="stage"]').clientWidth > before, before);
  await by(page, 'unfold').click();
  await page.waitForFunction((before) => document.querySelector('[data-testid="stage"]').clientWidth === Math.round(before), before);
});
