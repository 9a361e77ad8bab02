//! The world the machines live in.

pub mod units;

pub mod spec;

pub mod command;

pub mod report;

pub mod sharing;

pub mod scenario;

pub mod queue;

pub mod network;

pub mod trace;

pub mod books;

pub mod letters;

pub mod rebalances;

pub mod compare;

pub mod check;

pub mod world;

pub mod faults;

pub mod random;

pub mod trial;

pub mod playback;

pub mod history;

pub mod link;
