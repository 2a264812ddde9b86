//! Keys as paths, and back.

use std::path::PathBuf;

use crate::Failure;

/// A key at most (documented by S3).
const KEY_BYTES_MAX: usize = 1_024;
/// A file's name at most, on every file system that matters.
const SEGMENT_BYTES_MAX: usize = 255;

/// The file that holds `key`, under its bucket's directory. Each of the key's segments is a
/// name; those that a file system reads otherwise are escaped, with `%` itself.
pub(super) fn of_key(key: &str) -> Result<PathBuf, Failure> {
    let too_long = |message| Failure::permanent("S3.KeyTooLongError", message);
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let bytes = key.len();
        return Err(too_long(format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {bytes}")));
    }
    let mut path = PathBuf::new();
    for segment in key.split('/') {
        let name = match segment {
            "" => "%".to_owned(),
            "." => "%2E".to_owned(),
            ".." => "%2E%2E".to_owned(),
            plain => escaped(plain),
        };
        if name.len() > SEGMENT_BYTES_MAX {
            return Err(too_long(format!("a file's name has {SEGMENT_BYTES_MAX} bytes at most")));
        }
        path.push(name);
    }
    Ok(path)
}

/// The segment that a file's name stands for; none where no key makes such a name.
pub(super) fn segment_of(name: &str) -> Option<String> {
    match name {
        "%" => Some(String::new()),
        "%2E" => Some(".".to_owned()),
        "%2E%2E" => Some("..".to_owned()),
        name => {
            let segment = name.replace("%00", "\0").replace("%25", "%");
            (escaped(&segment) == name).then_some(segment)
        }
    }
}

fn escaped(segment: &str) -> String {
    segment.replace('%', "%25").replace('\0', "%00")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Component;

    use super::*;

    #[test]
    fn every_key_has_a_file_of_its_own_inside_the_bucket() {
        let keys = [
            "a",
            "a/b",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../../x",
            "a/./b",
            "%",
            "%25",
            "%2E",
            "a%2Fb",
            "%00",
            "\0",
            "..a",
            "\u{e9}",
        ];
        let mut paths = BTreeSet::new();
        for key in keys {
            let path = of_key(key).unwrap();
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
            let segments: Vec<String> =
                path.iter().map(|name| segment_of(name.to_str().unwrap()).unwrap()).collect();
            assert_eq!(segments.join("/"), key);
            assert!(paths.insert(path), "{key:?} shares its file");
        }
        assert!(of_key("").is_err());
        assert!(of_key(&"k".repeat(1_025)).is_err());
        assert!(of_key(&"k".repeat(256)).is_err());
        assert_eq!(segment_of("%41"), None);
    }
}
