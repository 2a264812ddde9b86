//! As much of XML as S3's answers need: the texts of named elements, none of which S3 gives
//! attributes or nests in one of the same name.

/// The text of the first element `name`, with its entities resolved.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).next().map(plain)
}

/// What stands inside of each element `name`, as it stands.
pub(super) fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let length = rest[start..].find(&close)?;
        let inner = &rest[start..start + length];
        rest = &rest[start + length + close.len()..];
        Some(inner)
    })
}

fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').and_then(|end| Some((resolve(&rest[1..end])?, end + 1)));
        let (character, length) = entity.unwrap_or(('&', 1));
        plain.push(character);
        rest = &rest[length..];
    }
    plain.push_str(rest);
    plain
}

fn resolve(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        numbered => {
            let number = numbered.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// `text` with what XML reads otherwise as entities.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_and_their_entities_resolved() {
        let xml = "<?xml version=\"1.0\"?><L xmlns=\"x\"><K>a&amp;b&lt;&#65;&#x42;&z;&</K><E/><K>c</K></L>";
        assert_eq!(text(xml, "K").as_deref(), Some("a&b<AB&z;&"));
        assert_eq!(elements(xml, "K").count(), 2);
        assert_eq!(text(xml, "E"), None);
        assert_eq!(text("<K>open", "K"), None);
        assert_eq!(text(&format!("<K>{}</K>", escaped("\"<&>\"")), "K").unwrap(), "\"<&>\"");
    }
}
