import assert from 'node:assert/strict';
import { axeSource, test } from './harness.mjs';
import { at, by, tabTo } from './page.mjs';

/** What the card of an assignor says of each member: its name, how many partitions, and which. */
const answer = (page, assignor) =>
  page.evaluate((assignor) => {
    const rows = [...document.querySelectorAll(`[data-testid="answer-${assignor}"] tbody tr`)];
    return rows.map((row) => [row.querySelector('th .unseen').textContent, ...[...row.querySelectorAll('td')].map((cell) => (cell.querySelector('.unseen') ?? cell).textContent)].join(' | '));
  }, assignor);

async function type(page, topics, members) {
  await by(page, 'assignors-topics').fill(topics);
  await by(page, 'assignors-members').fill(members);
}

test('typed topics and members are shared by every assignor side by side', async ({ open }) => {
  const page = await open();
  await at(page, 5);
  await by(page, 'assignors').click();
  await type(page, 'orders:3 users:2', 'ann=orders,users bob=orders,users cat=users');
  assert.deepEqual(await answer(page, 'range'), ['ann | 3 | orders 0, 1; users 0', 'bob | 2 | orders 2; users 1', 'cat | 0 | nothing']);
  assert.deepEqual(await answer(page, 'roundrobin'), ['ann | 2 | orders 0, 2', 'bob | 2 | orders 1; users 0', 'cat | 1 | users 1']);
  assert.deepEqual(await answer(page, 'server-range'), await answer(page, 'range'));
  for (const even of ['sticky', 'cooperative-sticky', 'server-uniform']) {
    const counts = (await answer(page, even)).map((row) => Number(row.split(' | ')[1]));
    assert.deepEqual([...counts].sort(), [1, 2, 2], even);
  }
  assert.match(await by(page, 'assignors-summary').innerText(), /range 3, roundrobin 1, sticky 1/);
});

test('an unticked member leaves, and what moves says from whom', async ({ open }) => {
  const page = await open();
  await at(page, 5);
  await page.keyboard.press('a');
  await type(page, 't:6', 'a b c');
  await tabTo(page, 'member-b');
  await page.keyboard.press('Space');
  assert.deepEqual(await answer(page, 'sticky'), ['a | 3 | t 0, 1 from b, 3', 'b | 0 | has left', 'c | 3 | t 2, 4 from b, 5']);
  assert.match(await by(page, 'assignors-summary').innerText(), /^Without b, so many partitions move: range 2,/);
  assert.ok(await by(page, 'member-b').evaluate((box) => box === document.activeElement), 'the focus stays');
  await page.keyboard.press('Space');
  assert.deepEqual(await answer(page, 'sticky'), ['a | 2 | t 0, 3', 'b | 2 | t 1, 4', 'c | 2 | t 2, 5']);
  await page.keyboard.press('Escape');
  assert.ok(!(await by(page, 'assignors-dialog').isVisible()));
});

test('what is typed wrong is said, and a thousand members are summed up', async ({ open }) => {
  const page = await open();
  await at(page, 5);
  await by(page, 'assignors').click();
  await type(page, 'orders:six', 'a');
  assert.match(await by(page, 'assignors-summary').innerText(), /`six` is no number of partitions for `orders`/);
  await type(page, 'orders:10000', 'c1..c1000');
  await page.locator('[data-testid="answer-range"]').getByText('and 976 more members with 10 partitions each').waitFor();
});

for (const theme of ['light', 'dark']) {
  for (const [width, height] of [[1440, 900], [390, 844]]) {
    test(`the assignors fit and have no barrier, ${theme}, ${width}x${height}`, { context: { viewport: { width, height } } }, async ({ open }) => {
      const page = await open(`?theme=${theme}`);
      await at(page, 5);
      await by(page, width < 720 ? 'sheet-assignors' : 'assignors').click();
      await by(page, 'member-b').click();
      await page.evaluate(axeSource());
      const { barriers, wide } = await page.evaluate(async () => {
        const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
        const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        const dialog = document.querySelector('[data-testid="assignors-dialog"]');
        return { barriers: grave.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`)), wide: dialog.scrollWidth - dialog.clientWidth };
      });
      assert.deepEqual(barriers, []);
      assert.ok(wide <= 0, `${wide} px too wide`);
    });
  }
}
