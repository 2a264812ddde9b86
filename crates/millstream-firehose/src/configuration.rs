//! What a delivery stream's destination was configured to be.
//!
//! Owns the document: the caller's configuration in the wire form of the model, which is what is
//! stored, described and updated, so that a round trip is exact. `document` keeps it and seals its
//! secrets, `merge` updates it, `describe` shows it, and the rest reads it into a [`Plan`],
//! checked whole: a configuration that does not read is refused before it is stored.
//!
//! Invariant: a document was encoded from the model's own types, so a member has the type of the
//! model or is not there; what the readers here judge is only what the model cannot say.
//!
//! [`Plan`]: crate::plan::Plan

mod bucket;
mod describe;
mod document;
mod extended;
mod invalid;
mod merge;
mod node;
mod processing;
mod reading;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use describe::{Place, describe};
pub(crate) use document::{DestinationKind, Document, SealedDocument, Secrets};
pub(crate) use invalid::Invalid;
pub(crate) use merge::updated;
pub(crate) use reading::plan;
