//! The options of each tool, and what they make of a command line.

pub mod configs;
pub mod consume;
pub mod dump_log;
pub mod elect;
pub mod flags;
pub mod get_offsets;
pub mod groups;
pub mod list_groups;
pub mod log_dirs;
pub mod moments;
pub mod produce;
pub mod quorum;
pub mod reassign;
pub mod share_groups;
pub mod topics;
