//! What there is to see at one moment, as plain data: no browser here.
//!
//! [`stage`] says what stands on the stage, [`layout`] where, [`traffic`] where between two nodes a message is. The rest
//! is what the page writes beside it: the ribbon of what happened, the charts, the captions, and the answers to "why?".
//!
//! **Invariant:** what is shown follows from the world and its facts alone; what is remembered here ([`chronicle`], and
//! the looks of batches in [`read`]) a replay brings back. Floats begin here.

pub mod marks;

pub mod stage;

pub mod focus;

pub mod layout;

pub mod traffic;

pub mod words;

pub mod events;

pub mod why;

pub mod series;

pub mod timeline;

pub mod caption;

pub mod footprints;

pub mod chronicle;

pub mod microscope;

pub mod inspect;

pub mod read;

pub mod complete;

pub mod assignors;

pub mod sample;
