//! The scope of a credential: on which day, where, and for which service it may sign.

use std::fmt;

use super::TERMINATOR;

/// `KEY-ID/DATE/REGION/SERVICE/aws4_request`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Who signs.
    pub access_key_id: &'a str,
    /// `YYYYMMDD`.
    pub date: &'a str,
    /// The region.
    pub region: &'a str,
    /// The signing name of the service.
    pub service: &'a str,
    /// `aws4_request`, if all is well.
    pub terminator: &'a str,
}

impl<'a> Scope<'a> {
    /// Takes a credential apart; `None` unless there are five parts. Trailing slashes are
    /// ignored (observed). An access key id may itself hold no slash.
    pub fn parse(credential: &'a str) -> Option<Self> {
        let mut parts = credential.trim_end_matches('/').split('/');
        let scope = Self {
            access_key_id: parts.next()?,
            date: parts.next()?,
            region: parts.next()?,
            service: parts.next()?,
            terminator: parts.next()?,
        };
        parts.next().is_none().then_some(scope)
    }

    /// The scope of a signature of ours.
    pub fn new(access_key_id: &'a str, date: &'a str, region: &'a str, service: &'a str) -> Self {
        Self { access_key_id, date, region, service, terminator: TERMINATOR }
    }
}

/// The whole credential.
impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key_id, date, region, service, terminator } = self;
        write!(f, "{access_key_id}/{date}/{region}/{service}/{terminator}")
    }
}
