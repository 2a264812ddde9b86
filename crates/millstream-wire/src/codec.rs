//! Which form a body has.

/// The form of a request's body, and so of its answer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// `application/x-amz-json-1.1`.
    Json11,
    /// `application/x-amz-json-1.0`.
    Json10,
    /// `application/x-amz-cbor-1.1`: timestamps are tag 1 with integer *milliseconds*, blobs are
    /// byte strings.
    Cbor11,
}

impl Codec {
    /// The media type that names this form.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json11 => "application/x-amz-json-1.1",
            Self::Json10 => "application/x-amz-json-1.0",
            Self::Cbor11 => "application/x-amz-cbor-1.1",
        }
    }

    /// The form that a `Content-Type` header names; parameters after `;` are ignored, and plain
    /// `application/json` is JSON 1.1. What a missing header means is the service's business.
    pub fn of_content_type(header: &str) -> Option<Self> {
        let media_type = header.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if is("application/x-amz-json-1.1") || is("application/json") {
            Some(Self::Json11)
        } else if is("application/x-amz-json-1.0") {
            Some(Self::Json10)
        } else if is("application/x-amz-cbor-1.1") {
            Some(Self::Cbor11)
        } else {
            None
        }
    }

    /// Whether the form is one of the two JSON forms.
    pub const fn is_json(self) -> bool {
        matches!(self, Self::Json11 | Self::Json10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_names_its_codec_whatever_its_case_or_parameters() {
        for codec in [Codec::Json11, Codec::Json10, Codec::Cbor11] {
            assert_eq!(Codec::of_content_type(codec.content_type()), Some(codec));
        }
        let loud = " Application/X-Amz-Cbor-1.1 ; charset=utf-8";
        assert_eq!(Codec::of_content_type(loud), Some(Codec::Cbor11));
        assert_eq!(Codec::of_content_type("text/html"), None);
    }
}
