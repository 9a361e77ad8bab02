//! Brokerscope: a Kafka cluster that can be watched, broken, rewound, and asked why.
//!
//! Read it left to right, as data flows: [`kafka`] decides, [`sim`] makes it happen, [`scene`] says what it looks like,
//! and `ui` shows it.

pub mod time;

pub mod rng;

pub mod kafka;

pub mod sim;

pub mod scene;

#[cfg(target_arch = "wasm32")]
pub mod ui;

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
