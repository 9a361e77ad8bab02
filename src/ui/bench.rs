//! The page's own benchmarks, for `brokerscope.bench(name)`.

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use super::browser;
use super::page::Page;
use crate::sim::scenario::Scenario;
use crate::sim::world::World;
use crate::time::{Duration, Instant};

/// Runs a benchmark. `stage` keeps ten thousand messages flying from now on; `stage off` ends that. `engine` tells how
/// many records a second the engine simulates here, `seek` how many milliseconds the longest of several seeks took. `rebalance`
/// opens a group of a thousand members on ten thousand partitions, whose frames can be counted while it rebalances.
pub fn run(page: Page, name: &str) -> Result<JsValue, String> {
    match name {
        "stage" => {
            page.crowd.set(10_000);
            Ok(JsValue::from_f64(10_000.0))
        }
        "stage off" => {
            page.crowd.set(0);
            Ok(JsValue::UNDEFINED)
        }
        "engine" => engine().map(JsValue::from_f64),
        "seek" => Ok(JsValue::from_f64(seek(page))),
        "rebalance" => page.load(&crowded(1_000, 10_000)).map(|()| JsValue::from_f64(1_000.0)),
        _ => Err(format!("There is no benchmark called {name}. There are: stage, stage off, engine, seek, rebalance.")),
    }
}

/// A group of many members on many partitions; one member leaves after ten seconds.
fn crowded(members: u32, partitions: u32) -> String {
    use std::fmt::Write;
    let mut toml = format!(
        "format = 1\ntitle = \"{members} members, {partitions} partitions\"\nsummary = \"A rebalance of many.\"\nseed = 1\n\
         duration = \"40s\"\n[cluster]\nbrokers = 3\n[[topic]]\nname = \"orders\"\npartitions = {partitions}\n\
         replication-factor = 1\n[[step]]\nat = \"10s\"\nrun = \"stop consumer-m1\"\n"
    );
    for member in 1..=members {
        // Writing to a string cannot fail.
        let _ = write!(toml, "[[consumer]]\nname = \"m{member}\"\ngroup = \"crowd\"\ntopics = [\"orders\"]\n");
    }
    toml
}

/// Records produced, replicated and read in a second of the browser's time.
fn engine() -> Result<f64, String> {
    const LOAD: &str = include_str!("../../benches/load.toml");
    let scenario = Scenario::parse(LOAD).map_err(|error| error.to_string())?;
    let mut world = World::new(&scenario);
    world.run_until(Instant::ZERO + Duration::secs(5));
    let before = world.report().ledger.acked;
    let began = browser::now_ms();
    let mut to = world.now();
    while browser::now_ms() - began < 2_000.0 {
        to += Duration::millis(20);
        world.run_until(to);
    }
    let seconds = (browser::now_ms() - began) / 1000.0;
    Ok((world.report().ledger.acked - before) as f64 / seconds)
}

/// The longest of several seeks over what is known of the run, in milliseconds.
fn seek(page: Page) -> f64 {
    let known = page.read(|engine| engine.chronicle().known().as_micros());
    let now = page.read(|engine| engine.now());
    let mut worst = 0.0_f64;
    for part in [7_u64, 1, 5, 2, 9, 3] {
        let began = browser::now_ms();
        page.seek(Instant::from_micros(known * part / 10));
        worst = worst.max(browser::now_ms() - began);
    }
    page.seek(now);
    worst
}
