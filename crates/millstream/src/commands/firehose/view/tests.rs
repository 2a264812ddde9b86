//! What people are shown, line by line.

use super::*;

fn stream(name: &str) -> Delivery {
    Delivery {
        name: name.to_owned(),
        arn: format!("arn:{name}"),
        status: "ACTIVE".to_owned(),
        source: "DirectPut".to_owned(),
        destination: "S3".to_owned(),
        holds: true,
        ..Delivery::default()
    }
}

fn report(at_ms: u64, delivery_streams: Vec<Delivery>) -> Report {
    Report { at_ms, delivery_streams, ..Report::default() }
}

fn error(at_ms: u64, count: u64) -> DeliveryError {
    DeliveryError {
        at_ms,
        log: "DestinationDelivery".to_owned(),
        code: "S3.AccessDenied".to_owned(),
        message: "no\x1b[2J\nway".to_owned(),
        count,
    }
}

#[test]
fn one_look_shows_counts_and_the_last_error_of_each() {
    let orders = Delivery {
        read_records: 1_200,
        delivered_records: 1_000,
        waiting_records: 30,
        data_freshness_ms: 1_500,
        error_records: [("processing-failed".to_owned(), 3)].into(),
        errors: vec![error(1_000, 1), error(4_000, 2)],
        ..stream("orders")
    };
    let text = View::new(false).once(&report(5_000, vec![orders]), Style::plain());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        ["orders", "ACTIVE", "puts", "S3", "1,200", "1,000", "30", "1.50", "s", "3"]
    );
    assert_eq!(lines[2], "orders: 1 s ago, 2 times S3.AccessDenied no [2J way");
    assert_eq!(lines.len(), 3);
}

#[test]
fn the_second_look_shows_rates_and_a_chart() {
    let mut view = View::new(false);
    view.next(report(1_000, vec![stream("orders")]), Style::plain(), None);
    let moved = |bytes| Delivery {
        read_records: 40,
        delivered_records: 20,
        delivered_bytes: bytes,
        ..stream("orders")
    };
    let text = view.next(report(3_000, vec![moved(4_000)]), Style::plain(), None);
    assert!(text.contains("20/s") && text.contains("10/s") && text.contains("2.0 kB"), "{text}");
    let text = view.next(report(4_000, vec![moved(4_001)]), Style::plain(), None);
    assert!(text.contains("█▂"), "{text}");
}

#[test]
fn a_server_that_was_started_again_counts_from_nothing() {
    let before = Delivery { read_records: 1_000, ..stream("orders") };
    let now = Delivery { read_records: 50, ..stream("orders") };
    assert_eq!(pace(&before, &now, 1_000).read_records, 50);
}

#[test]
fn one_that_cannot_be_carried_out_says_so() {
    let stuck = Delivery { holds: false, ..stream("orders") };
    let text = View::new(true).once(&report(0, vec![stuck]), Style::plain());
    assert!(text.contains("ACTIVE, but cannot be carried out"), "{text}");
}

#[test]
fn the_page_of_one_leaves_out_what_has_not_happened() {
    let one = Delivery { attempts: 3, successes: 2, ..stream("orders") };
    let text = View::new(true).once(&report(0, vec![one]), Style::plain());
    assert!(text.contains("deliveries      2 of 3 (66.6 %)"), "{text}");
    for absent in ["transforms", "converted", "duplicates", "error output", "bytes/s"] {
        assert!(!text.contains(absent), "{text}");
    }
}

#[test]
fn what_does_not_fit_is_cut_and_colours_take_no_room() {
    let screen = Screen { rows: 2, columns: 3 };
    assert_eq!(cut("abcdef\n\x1b[1mxyzw\x1b[0m\nthird\n", screen), "abc\n\x1b[1mxyz\x1b[0m\n");
}
