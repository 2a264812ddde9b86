//! Queries, by what jq 1.6 gives (`jq_1_6.tsv`: program, outputs, an error last), and attacks on them.

use super::*;

/// The record of the guide's "Understand partitioning keys", and more of every kind.
const RECORD: &str = include_str!("record.json");

/// What a program gives for the record, as JSON; an error last, after an exclamation mark.
fn outputs(program: &str, record: &str) -> Vec<String> {
    let query = match Query::parse(program) {
        Ok(query) => query,
        Err(error) => return vec![format!("! {error}")],
    };
    let mut outputs = Vec::new();
    let result = run(record, |input| {
        query.apply(Timestamp::from_seconds(1_565_382_027), input, |output| {
            let failed = output.is_err();
            outputs.push(match output {
                Err(message) => format!("! {message}"),
                Ok(value) => {
                    let mut text = String::new();
                    json::write(&value, &mut text);
                    text
                }
            });
            !failed
        });
        Ok(())
    });
    outputs.extend(result.err().map(|error| format!("! {error}")));
    outputs
}

#[test]
fn programs_give_what_jq_gives() {
    let mut differing = 0;
    for row in include_str!("jq_1_6.tsv").lines() {
        let mut columns = row.split('\t');
        let program = columns.next().unwrap();
        let expected: Vec<&str> = columns.collect();
        let ours = outputs(program, RECORD);
        if ours != expected {
            differing += 1;
            println!("{program}\n   jq   {expected:?}\n   ours {ours:?}");
        }
    }
    assert_eq!(differing, 0);
}

/// Where one of these changes the process, hangs it or ends it, the test says so by doing so.
#[test]
fn no_query_hangs_exhausts_or_ends_the_process() {
    let rows = [
        // Without end.
        ("[range(infinite)]", "time"),
        ("last(range(infinite))", "time"),
        ("first(range(infinite) | select(. < 0))", "time"),
        ("[limit(1000000000; repeat(1))] | length", "time"),
        ("last(repeat(.))", "time"),
        ("until(false; .)", "time"),
        ("[while(true; .)]", "time"),
        ("def f: f; f", "time"),
        ("def f: ., f; last(f)", "time"),
        ("def f: (., 1) | f; f", "time"),
        ("last(recurse(.))", "time"),
        ("try last(range(infinite)) catch 1", "time"),
        ("def f: try last(range(infinite)) catch f; f", "time"),
        ("reduce range(infinite) as $x (0; . + 1)", "time"),
        ("[range(0; 1; 0)]", "time"),
        ("label $out | range(infinite) | if . < 0 then break $out else empty end", "time"),
        // Exponential work, or work in one step, on values that share memory.
        ("reduce range(60) as $i (1; [., .]) | tojson", "time"),
        ("reduce range(60) as $i (1; [., .]) | . == .", "time"),
        ("reduce range(60) as $i (1; [., .]) | [..] | length", "time"),
        ("reduce range(60) as $i (1; [., .]) | flatten", "time"),
        ("reduce range(60) as $i (1; [., .]) | last(..)", "time"),
        (
            "reduce range(60) as $i (1; [., .]) | last(.[][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][][])",
            "time",
        ),
        ("reduce range(60) as $i (1; [., .]) | .. |= 1", "time"),
        ("reduce range(60) as $i (1; [., .]) | last(paths)", "time"),
        (
            "null | last(.[1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2])",
            "time",
        ),
        ("reduce range(60) as $i ({}; {a: ., b: .}) | [., .] | sort", "time"),
        ("[range(100000)] | [.[] as $x | .[] as $y | $x + $y] | length", "time"),
        ("[range(30000)] | . - [-1, -2, -3, -4, -5, -6, -7, -8, -9, -10]", "time"),
        ("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" * 30000 | [match(\"a*?b\"; \"g\")]", "time"),
        // Memory.
        ("\"x\" * 1000000000", "memory"),
        ("\"xxxxxxxxxxxxxxxx\" | until(false; . + .)", "memory"),
        ("reduce range(60) as $i (\"x\"; . + .)", "memory"),
        ("null | .[100000000] = 1", "time"),
        ("[.] | .[536870911] = 1", "time"),
        // Nesting.
        ("reduce range(1000000) as $i (0; [.])", "nesting"),
        ("def f: [f]; f", "nesting"),
        ("def f: 1 + f; f", "nesting"),
        ("def f($n): if $n == 0 then 0 else 1 + f($n - 1) end; f(100000)", "nesting"),
        ("def f($n): f($n + 1), $n; f(0)", "time"),
        ("def f: .a |= f; f", "nesting"),
        ("null | path(until(false; .a))", "nesting"),
        ("null | path(last(recurse(.a)))", "nesting"),
        ("null | [path(limit(100000; repeat(.a)))]", "memory"),
        ("null | path(getpath([range(20000) | \"a\"]))", "nesting"),
        ("[[1]] | path(until(false; .[0:]))", "nesting"),
        ("null | paths(getpath([range(5000)]))", ""),
        ("null | setpath([range(5000) | \"a\"]; 1)", "nesting"),
    ];
    for (program, what) in rows {
        let query = Query::parse(program).unwrap_or_else(|error| panic!("{program}: {error}"));
        for record in ["null", RECORD] {
            let result = query.transform(record.as_bytes(), Timestamp::default());
            match what {
                "" => drop(result.expect(program)),
                what => match result {
                    Err(QueryError::Limit { what: ours }) => assert_eq!(ours, what, "{program}"),
                    other => panic!("{program}: {other:?}"),
                },
            }
        }
    }
}

#[test]
fn no_text_of_a_query_ends_the_process() {
    let deep = |open: &str, middle: &str, close: &str| {
        let count = program::TEXT_BYTES_MAX / (open.len() + close.len()) - middle.len();
        open.repeat(count) + middle + &close.repeat(count)
    };
    let rows = [
        deep("(", ".", ")"),
        deep("[", "", "]"),
        deep("{a:", "1", "}"),
        deep("-", "1", ""),
        deep(".|", ".", ""),
        deep(".,", ".", ""),
        deep("1+", "1", ""),
        deep("1//", "1", ""),
        deep("try ", ".", ""),
        deep("if . then ", ".", ""),
        deep("if . then . else ", ".", " end"),
        deep("def f:", ".", ";."),
        deep("\"\\(", "1", ")\""),
        deep(".[", "0", "]"),
        deep(". as $a|", ".", ""),
        deep("label $a|", ".", ""),
        deep(".a", "", ""),
        deep("reduce . as $x (.;", ".", ")"),
        deep("[.[]|", ".", "]"),
        deep("map(", ".", ")"),
        deep(". as [[", "$a", "]]"),
        deep("(", "", ""),
        deep("", "", ")"),
        deep(".a|=", "1", ""),
        deep(".[0]", "", ""),
        deep(".[]", "", ""),
        deep(".[:1]", "", ""),
        format!(". as [{}$a]|1", "$a,".repeat(2_000)),
        format!("def f({}$a):1;f(1{})", "$a;".repeat(1_500), ";1".repeat(1_500)),
        format!("[{}1]", "1,".repeat(4_000)),
        format!("{{{}a:1}}", "a:1,".repeat(2_000)),
        format!("\"{}\"", "\\(1)".repeat(1_500)),
        "\u{0}".into(),
        "\u{1f4a3}".into(),
        "import \"a\" as a; .".into(),
        "include \"a\"; .".into(),
        "@".into(),
        "\"\\u\"".into(),
        "\"\\(".into(),
        ".[".into(),
        "{".into(),
        "1e".into(),
        "$".into(),
    ];
    for text in rows {
        assert!(text.len() <= program::TEXT_BYTES_MAX);
        if let Ok(query) = Query::parse(&text) {
            let _ = query.transform(RECORD.as_bytes(), Timestamp::default());
            let _ = query.transform(b"{\"a\":[1]}", Timestamp::default());
        }
    }
    let long = ".".repeat(program::TEXT_BYTES_MAX + 1);
    assert!(matches!(Query::parse(&long), Err(ParseError::TooLong { .. })));
}

#[test]
fn what_asks_the_outside_world_is_not_there() {
    for program in [
        "env",
        "$ENV",
        "input",
        "inputs",
        "debug",
        "stderr",
        "halt",
        "halt_error",
        "input_filename",
        "input_line_number",
        "$__prog_args",
        "get_search_list",
        "import \"a\" as a; .",
        "include \"a\"; .",
    ] {
        assert!(matches!(Query::parse(program), Err(ParseError::Invalid { .. })), "{program}");
    }
    assert_eq!(outputs("now", "null"), ["1565382027"]);
    assert_eq!(outputs("now | todate", "null"), ["\"2019-08-09T20:20:27Z\""]);
}

#[test]
fn recursion_that_would_hold_itself_is_refused_and_other_recursion_is_not() {
    for program in [
        "def f(g): f(g|g); f(.)",
        "def f(g): def h: f(g); h; f(.)",
        "def f(g; $x): [f(g; 1)]; f(.; 1)",
        "[.[] | def f(g): {a: f(.)}; f(.)]",
        "\"\\(def f(g): f(.); 1)\"",
        ".[def f(g): f(.); 1]",
    ] {
        let refused = Query::parse(program).unwrap_err().to_string();
        assert!(refused.contains("calls itself"), "{program}: {refused}");
    }
    let rows = [
        ("def f(g): g; def h: f(.); h", "5"),
        ("def f(g): g | def f: . + 1; f; f(. * 2)", "11"),
        ("def f(f): f; f(. + 1)", "6"),
        ("def f: if . > 100 then . else . * 2 | f end; f", "160"),
        ("def f($n): if $n == 0 then . else . + f($n - 1) end; f(3)", "20"),
    ];
    for (program, expected) in rows {
        assert_eq!(outputs(program, "5"), [expected], "{program}");
    }
}

#[test]
fn the_guides_example_gives_its_keys() {
    let query = Query::parse(
        r#"{customer_id: .customer_id, device: .type.device,
            year: .event_timestamp | strftime("%Y"), month: .event_timestamp | strftime("%m"),
            day: .event_timestamp | strftime("%d"), hour: .event_timestamp | strftime("%H")}"#,
    )
    .unwrap();
    let keys = query.partition_keys(RECORD.as_bytes(), Timestamp::default()).unwrap();
    let expected = [
        ("customer_id", "1234567890"),
        ("day", "09"),
        ("device", "mobile"),
        ("hour", "20"),
        ("month", "08"),
        ("year", "2019"),
    ];
    assert_eq!(keys, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let names = ["customer_id", "device", "year", "month", "day", "hour"];
    assert_eq!(query.keys().unwrap(), names);
}

#[test]
fn the_names_of_keys_are_told_from_the_text_where_they_can_be() {
    let keys = |text| Query::parse(text).unwrap().keys().map(<[String]>::to_vec);
    assert_eq!(keys(r#"{a: .b, "c d": 1, e}"#).unwrap(), ["a", "c d", "e"]);
    assert_eq!(keys("{}").unwrap(), [""; 0]);
    assert_eq!(keys(". as $x | {$x}"), None);
    assert_eq!(keys("{(.a): 1}"), None);
    assert_eq!(keys(".a"), None);
}

fn keys_for(program: &str, record: &str) -> Result<BTreeMap<String, String>, QueryError> {
    Query::parse(program).unwrap().partition_keys(record.as_bytes(), Timestamp::default())
}

#[test]
fn keys_are_scalars_as_text() {
    let keys = keys_for(
        "{a, b, c, d, e}",
        r#"{"a":"x","b":12345678901234567,"c":1.50,"d":true,"e":"\u00e9"}"#,
    );
    let values: Vec<String> = keys.unwrap().into_values().collect();
    assert_eq!(values, ["x", "12345678901234567", "1.5", "true", "\u{e9}"]);
}

#[test]
fn what_gives_no_keys_says_why() {
    let rows = [
        ("{a: .a}", "{}", "partitionKeys values must not be null or empty"),
        ("{a: .a}", r#"{"a":""}"#, "partitionKeys values must not be null or empty"),
        ("{a: .a.b}", r#"{"a":null}"#, "partitionKeys values must not be null or empty"),
        ("{a: .a.b}", r#"{"a":1}"#, "Cannot index number with string \"b\""),
        ("{a: .a}", "[]", "Cannot index array with string \"a\""),
        ("{a: .a}", "", "Non JSON record provided"),
        ("{a: .a}", "plain text", "Non JSON record provided"),
        ("{a: .a}", r#"{"a":1}{"a":2}"#, "Non JSON record provided"),
        ("{a: .a}", r#"{"a":1"#, "Non JSON record provided"),
        ("{a: .a}", r#"{"a":1,}"#, "Non JSON record provided"),
        ("{a: .a}", r#"{"a":01}"#, "Non JSON record provided"),
        ("{a: .a}", r#"{"a":1,"b":"\x"}"#, "Non JSON record provided"),
        (
            "{a: .a}",
            r#"{"a":[1]}"#,
            "the value of the partition key a must be a string, a number or a boolean",
        ),
        (
            ".a",
            r#"{"a":"x"}"#,
            "the query gave string where one object of partition keys is expected",
        ),
        ("empty", "{}", "the query gave nothing where one object of partition keys is expected"),
        (
            "{a: (1, 2)}",
            "{}",
            "the query gave more than one value where one object of partition keys is expected",
        ),
        ("error(\"no\")", "{}", "no"),
    ];
    for (program, record, sentence) in rows {
        assert_eq!(
            keys_for(program, record).unwrap_err().to_string(),
            sentence,
            "{program} {record}"
        );
    }
    let query = Query::parse("{a: .a}").unwrap();
    let invalid = query.partition_keys(b"{\"a\":\"\xff\"}", Timestamp::default());
    assert_eq!(invalid, Err(QueryError::NotJson));
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(keys_for("{a: 1}", &deep), Err(QueryError::NotJson));
}

#[test]
fn a_transformation_gives_lines_and_drops_what_it_gives_nothing_for() {
    let transform = |program: &str| {
        let query = Query::parse(program).unwrap();
        query.transform(br#"{"a":[1,"x",{"b":"c"}]}"#, Timestamp::default())
    };
    assert_eq!(transform(".a[]").unwrap(), ["1", "x", r#"{"b":"c"}"#]);
    assert_eq!(transform("[.a[:2] | @csv, tojson]").unwrap(), [r#"["1,\"x\"","[1,\"x\"]"]"#]);
    assert!(transform("select(.missing)").unwrap().is_empty());
    assert_eq!(transform(".a[], error(\"no\")"), Err(QueryError::Failed { message: "no".into() }));
    assert_eq!(transform("range(10001)"), Err(QueryError::Limit { what: "output" }));
    let large = transform("range(8) | \"x\" * 1000000");
    assert_eq!(large, Err(QueryError::Limit { what: "output" }));
}

#[test]
fn a_query_runs_on_many_threads_at_once() {
    let query = Query::parse(r#"{a: (.a | gsub("(?<d>[0-9])"; "<\(.d)>"))}"#).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let query = query.clone();
            scope.spawn(move || {
                for number in 0..50 {
                    let record = format!(r#"{{"a":"{thread}x{number}"}}"#);
                    let keys = query.partition_keys(record.as_bytes(), Timestamp::default());
                    assert!(keys.unwrap()["a"].starts_with(&format!("<{thread}>x<")));
                }
            });
        }
    });
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-8_000_000_i32..8_000_000).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            "[ -~\n\u{e9}\u{1f4a3}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("[abc\"]{0,2}", inner), 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    /// Equality where `1` is `1.0`.
    fn same(left: &serde_json::Value, right: &serde_json::Value) -> bool {
        use serde_json::Value;
        match (left, right) {
            (Value::Number(left), Value::Number(right)) => {
                left == right || left.as_f64() == right.as_f64()
            }
            (Value::Array(left), Value::Array(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
            }
            (Value::Object(left), Value::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, l)| right.get(key).is_some_and(|r| same(l, r)))
            }
            _ => left == right,
        }
    }

    /// As the interpreter sees it, without the fast path.
    fn slowly(query: &Query, record: &str) -> Result<BTreeMap<String, String>, QueryError> {
        let detour = Query::parse(&format!("{} | .", query.text())).unwrap();
        assert!(detour.inner.fields.is_none());
        detour.partition_keys(record.as_bytes(), Timestamp::default())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn the_fast_path_means_what_the_interpreter_means(
            record in any_json(),
            damage in proptest::option::of((any::<prop::sample::Index>(), "[ -~]")),
        ) {
            let mut record = record.to_string();
            if let Some((at, by)) = damage {
                let at = at.index(record.len());
                if record.is_char_boundary(at) && record.is_char_boundary(at + 1) {
                    record.replace_range(at..=at, &by);
                }
            }
            let query = Query::parse("{x: .a, y: .b.c, z: .b.a.b?, s: .c | tostring}").unwrap();
            prop_assert!(query.inner.fields.is_some());
            let fast = query.partition_keys(record.as_bytes(), Timestamp::default());
            prop_assert_eq!(fast, slowly(&query, &record));
        }

        #[test]
        fn json_goes_through_unchanged(record in any_json()) {
            let query = Query::parse(".").unwrap();
            let text = record.to_string();
            let output = query.transform(text.as_bytes(), Timestamp::default()).unwrap();
            let output = match &record {
                serde_json::Value::String(_) => {
                    serde_json::Value::from(std::str::from_utf8(&output[0]).unwrap())
                }
                _ => serde_json::from_slice(&output[0]).unwrap(),
            };
            prop_assert!(same(&output, &record), "{output} {record}");
        }

        #[test]
        fn no_text_breaks_the_parser(text in "[.a-c\\[\\](){}|,:;\"\\\\$@?/=+*<>0-9 -]{0,40}|(def|if|then|else|end|reduce|as|\\$x|\\.|\\||;|try|label| ){0,20}") {
            if let Ok(query) = Query::parse(&text) {
                let _ = query.transform(RECORD.as_bytes(), Timestamp::default());
            }
        }
    }
}
