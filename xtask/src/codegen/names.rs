//! The model's names as Rust writes them.

/// Words that cannot be names.
const KEYWORDS: &[&str] = &[
    "as", "async", "await", "box", "break", "const", "continue", "default", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static",
    "struct", "trait", "true", "try", "type", "typeof", "unsafe", "use", "virtual", "where",
    "while", "yield",
];

/// Units and plurals whose capitals say nothing of words.
const SPELLINGS: &[(&str, &str)] = &[
    ("MiBps", "Mibps"),
    ("KiB", "Kib"),
    ("MiB", "Mib"),
    ("GiB", "Gib"),
    ("MBs", "Mbs"),
    ("ARNs", "Arns"),
    ("IDs", "Ids"),
    ("APIs", "Apis"),
    ("URLs", "Urls"),
    ("IPs", "Ips"),
    ("VPCs", "Vpcs"),
    ("DBs", "Dbs"),
    ("OpenSearch", "Opensearch"),
];

/// The words of a camel-case, kebab-case or shouted name, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut name = name.to_owned();
    for (from, to) in SPELLINGS {
        name = name.replace(from, to);
    }
    let characters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = vec![String::new()];
    for (index, character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = index.checked_sub(1).map(|index| characters[index]);
        let after = characters.get(index + 1);
        let starts = character.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || (before.is_ascii_digit() && after.is_some_and(char::is_ascii_lowercase))
                    || (before.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if starts {
            words.push(String::new());
        }
        words.last_mut().expect("starts with one").push(character.to_ascii_lowercase());
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `stream_arn` of `StreamARN`.
pub(super) fn snake(name: &str) -> String {
    let snake = words(name).join("_");
    if KEYWORDS.contains(&snake.as_str()) { format!("r#{snake}") } else { snake }
}

/// `STREAM_ARN` of `StreamARN`.
pub(super) fn shout(name: &str) -> String {
    words(name).join("_").to_uppercase()
}

/// `AtSequenceNumber` of `AT_SEQUENCE_NUMBER`, `KmsDisabled` of `KMSDisabled`.
pub(super) fn camel(name: &str) -> String {
    let mut camel = String::new();
    for word in words(name) {
        // Two numbers side by side would become one.
        let joins_numbers = camel.ends_with(|c: char| c.is_ascii_digit())
            && word.starts_with(|c: char| c.is_ascii_digit());
        camel.push_str(if joins_numbers { "_" } else { "" });
        let mut characters = word.chars();
        camel.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(characters.as_str());
    }
    if camel.starts_with(|c: char| c.is_ascii_digit()) {
        camel.insert(0, 'V');
    }
    if camel == "Self" || camel.is_empty() {
        camel.push_str("Value");
    }
    camel
}

/// A Rust string literal.
pub(super) fn literal(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_words() {
        assert_eq!(snake("StreamARN"), "stream_arn");
        assert_eq!(snake("MaxRecordSizeInKiB"), "max_record_size_in_kib");
        assert_eq!(snake("WarmThroughputMiBps"), "warm_throughput_mibps");
        assert_eq!(snake("S3DestinationConfiguration"), "s3_destination_configuration");
        assert_eq!(snake("Type"), "r#type");
        assert_eq!(shout("ShardIteratorType"), "SHARD_ITERATOR_TYPE");
        assert_eq!(camel("AT_SEQUENCE_NUMBER"), "AtSequenceNumber");
        assert_eq!(camel("KMSOptInRequired"), "KmsOptInRequired");
        assert_eq!(camel("FLINK-1_11"), "Flink1_11");
        assert_eq!(camel("aws:kms"), "AwsKms");
    }
}
