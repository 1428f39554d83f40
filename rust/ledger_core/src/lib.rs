//! The ledger of mesh events.
//!
//! Raw JSON events come in as bytes and are kept as bytes; everything else here is an index over
//! them: by id, by time, by service and name, by what may be forgotten first, by weight. No I/O, no
//! clock, no randomness of its own: now, seeds and hash keys are arguments.
//!
//! ```text
//! bytes -> event::decode -> verify::judge -> Ledger::apply -> Ledger::{page, recent, sample} -> encode
//! ```

pub mod batch;
mod checkpoint;
pub mod encode;
pub mod event;
mod fields;
mod json;

pub mod ledger;
mod msgpack;
mod payload;
mod schema;
pub use checkpoint::Cutoff;
pub mod verdict;
pub mod verify;
