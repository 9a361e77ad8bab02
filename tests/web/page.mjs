// What tests do with the page again and again.

/** The report at the moment on show. */
export const report = (page) => page.evaluate(() => window.brokerscope.report());

/** Stops playing, goes to a moment, and returns the report there. */
export function at(page, seconds) {
  return page.evaluate((seconds) => {
    window.brokerscope.pause();
    window.brokerscope.seek(seconds);
    return window.brokerscope.report();
  }, seconds);
}

/** Gives a command to the engine, and returns what it prints. */
export const give = (page, command) => page.evaluate((command) => window.brokerscope.run(command), command);

/** Waits until the run is past the moment it is at now: the page plays. */
export async function moves(page) {
  const before = await page.evaluate(() => window.brokerscope.report().now_us);
  await page.waitForFunction((before) => window.brokerscope.report().now_us > before, before);
}

/** The element with a `data-testid`. */
export const by = (page, testid) => page.locator(`[data-testid="${testid}"]`);

/** Waits for a broker to be in a state. */
export function brokerIs(page, id, state) {
  return page.waitForFunction(
    ([id, state]) => window.brokerscope.report().cluster.brokers.find((broker) => broker.id === id)?.state === state,
    [id, state],
  );
}

/** Presses Tab until the element with this `data-testid` has the focus. */
export async function tabTo(page, testid, key = 'Tab') {
  for (let presses = 0; presses < 150; presses += 1) {
    await page.keyboard.press(key);
    const on = await page.evaluate(() => document.activeElement?.getAttribute('data-testid'));
    if (on === testid) return;
  }
  throw new Error(`${key} never leads to ${testid}`);
}

/** The text of the message over the page. */
export async function notice(page) {
  await by(page, 'notice').waitFor();
  return by(page, 'notice').innerText();
}
