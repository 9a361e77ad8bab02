//! The options of each tool, and what they make of a command line.

pub mod consume;
pub mod flags;
pub mod groups;
pub mod produce;
pub mod quorum;
pub mod topics;
