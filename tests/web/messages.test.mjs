import assert from 'node:assert/strict';
import { test } from './harness.mjs';
import { at, by, give, moves, notice, report } from './page.mjs';

const fallback = async (page) => {
  await page.locator('#fallback').waitFor({ state: 'visible' });
  return page.locator('#fallback').innerText();
};

const bad = `format = 1
title = "Bad"
summary = "A key that does not exist."
seed = 1
duration = "10s"

[cluster]
brokers = 3
brokerz = 4
`;

test('load() of a bad scenario throws an Error with the line and the key, and the run goes on', async ({ open }) => {
  const page = await open();
  const said = await page.evaluate((toml) => {
    try {
      window.brokerscope.load(toml);
    } catch (error) {
      return { error: error instanceof Error, message: error.message };
    }
    return {};
  }, bad);
  assert.equal(said.error, true);
  assert.match(said.message, /brokerz/);
  assert.match(said.message, /\b9\b/);
  assert.equal((await report(page)).scenario, 'Ten hellos through three brokers');
  await moves(page);
});

test('load() opens a scenario of one\'s own and plays it', async ({ open }) => {
  const page = await open();
  const toml = bad.replace('brokerz = 4\n', '').replace('brokers = 3', 'brokers = 5');
  await page.evaluate((toml) => window.brokerscope.load(toml), toml);
  assert.equal((await report(page)).cluster.brokers.length, 5);
  await by(page, 'node-broker-5').waitFor();
  await moves(page);
});

test('an unknown scenario in the address says which there are, and the default plays', async ({ open }) => {
  const page = await open('?scenario=nonsense');
  const said = await notice(page);
  assert.match(said, /nonsense/);
  assert.match(said, /hello/);
  await moves(page);
});

test('run() of a wrong command throws one clear line and changes nothing', async ({ open }) => {
  const page = await open();
  const before = await at(page, 3);
  for (const wrong of ['kill broker-9', 'explode', 'kill', 'set broker-1 nonsense=1']) {
    const message = await page.evaluate((wrong) => {
      try {
        return `printed ${window.brokerscope.run(wrong)}`;
      } catch (error) {
        return error.message;
      }
    }, wrong);
    assert.doesNotMatch(message, /^printed/, wrong);
    assert.equal(message.trim().split('\n').length, 1, message);
    assert.deepEqual(await report(page), before, wrong);
  }
});

test('/ leads to the command bar, and a wrong command there prints one clear line', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('data-testid')), 'command');
  await page.keyboard.type('kill broker-9');
  await page.keyboard.press('Enter');
  await by(page, 'output').waitFor();
  const lines = (await by(page, 'output').innerText()).trim().split('\n');
  assert.equal(lines.length, 2, lines.join('\n'));
  assert.match(lines[0], /kill broker-9/);
  assert.match(lines[1], /broker-9/);
});

test('Ctrl-K leads to the command bar, Tab completes there and Enter runs', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  await page.keyboard.press('Control+k');
  await page.keyboard.type('kill broker-2');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => window.brokerscope.report().cluster.brokers[1].state === 'down');
  await by(page, 'output').waitFor();
  await page.keyboard.type('sta');
  await page.keyboard.press('Tab');
  assert.match(await by(page, 'command').inputValue(), /^start/);
});

test('kafka-topics --describe prints what Kafka\'s tool prints', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  await by(page, 'command').fill('kafka-topics --bootstrap-server localhost:9092 --describe --topic test-topic');
  await by(page, 'command').press('Enter');
  await by(page, 'output').waitFor();
  const text = await by(page, 'output').evaluate((output) => output.textContent);
  assert.match(text, /^Topic: test-topic\tTopicId: [\w-]{22}\tPartitionCount: 3\tReplicationFactor: 3\tConfigs: min\.insync\.replicas=2$/m);
  assert.match(text, /^\tTopic: test-topic\tPartition: 0\tLeader: 1\tReplicas: 1,2,3\tIsr: 1,2,3\tElr: ?\tLastKnownElr: ?$/m);
  assert.match(text, /^\tTopic: test-topic\tPartition: 2\tLeader: 3\tReplicas: 3,1,2\t/m);
});

test('run() returns what Kafka\'s tool prints', async ({ open }) => {
  const page = await open();
  await at(page, 3);
  assert.match(await give(page, 'kafka-topics.sh --list'), /^test-topic$/m);
  assert.match(await give(page, 'kafka-consumer-groups --describe --group consumer-group'), /GROUP +TOPIC +PARTITION +CURRENT-OFFSET/);
});

test('a panic says what to do in place of the page', { expected: [/panicked/, /unreachable/, /recursively|after being dropped/] }, async ({ open }) => {
  const page = await open();
  await moves(page);
  // The program asks for the window and once is told that there is none, which it cannot live without.
  await page.evaluate(() => {
    let asked = false;
    Object.defineProperty(Window, Symbol.hasInstance, { value: () => asked || !(asked = true) });
  });
  const said = await fallback(page);
  assert.match(said, /Brokerscope stopped/);
  assert.match(said, /src\/ui\/browser\.rs:\d+/);
  assert.equal(await by(page, 'stage').isVisible(), false);
  assert.equal(await page.getByRole('link', { name: 'Load the page again' }).isVisible(), true);
});

test('without a canvas the page says what to do', async ({ open, page }) => {
  await page.addInitScript(() => { HTMLCanvasElement.prototype.getContext = () => null; });
  await open('', { ready: false });
  assert.match(await fallback(page), /another browser/);
});

for (const [what, ruin] of [
  ['there is no WebAssembly', () => { delete window.WebAssembly; }],
  ['WebAssembly is refused', () => {
    const refuse = () => Promise.reject(new WebAssembly.CompileError('refused'));
    WebAssembly.instantiateStreaming = refuse;
    WebAssembly.instantiate = refuse;
  }],
]) {
  test(`where ${what} the page says what to do`, { expected: [/./] }, async ({ open, page }) => {
    await page.addInitScript(ruin);
    await open('', { ready: false });
    assert.match(await fallback(page), /could not start/i);
  });
}

for (const [what, address] of [['wasm', /\.wasm$/], ['script', /\.js$/]]) {
  test(`where the ${what} does not arrive the page says what to do`, { expected: [/./] }, async ({ open, page }) => {
    await page.route(address, (route) => route.abort());
    await open('', { ready: false });
    assert.match(await fallback(page), /could not start/i);
  });
}

test('without JavaScript the page says what it needs', { context: { javaScriptEnabled: false }, expected: [/\.(js|wasm) csp/] }, async ({ open, page }) => {
  await open('', { ready: false });
  assert.match(await page.locator('noscript').innerText(), /JavaScript and WebAssembly/);
});
