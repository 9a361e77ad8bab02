//! What each machine does: Kafka's own rules, as state machines without I/O.
//!
//! Every machine is one `step(now, input, out)`; see [`effects`]. Clients reach a broker by message, never by call.
//!
//! **Invariant:** nothing here reads a clock, draws an unseeded number, or knows of networks and pixels.

// The vocabulary.
pub mod ids;

pub mod error;

pub mod config;

pub mod compat;
pub mod mistakes;

pub mod varint;
mod wire;

pub mod compression;

pub mod record;

pub mod metadata;

pub mod message;

pub mod fact;

pub mod effects;

pub mod backoff;

// One partition.
pub mod epochs;

pub mod log;

pub mod producer_state;

pub mod disk;

pub mod replica;

pub mod purgatory;

// The metadata quorum, and the controller on it.
pub mod placement;

pub mod quorum;

pub mod controller;

// ZooKeeper, which kept the metadata before there was a quorum, and the controller that worked with it.
pub mod zookeeper;

pub mod zk_client;

pub mod zk_controller;

// A broker.
pub mod lifecycle;

pub mod observer;

pub mod group;

pub mod modern_group;

pub mod group_log;

pub mod share;

pub mod coordinator;

pub mod quota;

pub mod broker;

// What clients share, and the clients.
pub mod connection;

pub mod cluster_view;

pub mod partitioner;

pub mod assignor;

pub mod workload;

pub mod producer;

pub mod consumer;

pub mod tool;
